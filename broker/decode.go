package broker

import (
	"encoding/binary"
	"math"
)

// A decoder reads envelopes and reuses what it allocates. Bodies are views
// into the envelope. Not for concurrent use.
type decoder struct {
	env  envelope
	refs []ref
	beat [2]beat
	tag  uint32
	self NodeID // of whose envelopes the header is enough

	numbers []uint64

	names map[string]string // channels seen, to not allocate them again
}

// decode checks all of data before it returns any of it, unless it is this
// node's own. What it returns is valid until the next call, but for bodies and
// strings.
func (d *decoder) decode(data []byte) (*envelope, error) {
	e := &d.env
	*e = envelope{hellos: e.hellos[:0], messages: e.messages[:0], asks: e.asks[:0], spans: e.spans[:0]}
	d.refs = d.refs[:0]

	r := reader{b: data}
	if r.byte() != magic {
		return nil, errMalformed
	}
	if e.version = r.byte(); (e.version < oldest || e.version > version) && !r.bad {
		return nil, errVersion
	}
	e.flags = r.byte()
	tag := r.uint32()
	copy(e.sender[:], r.take(len(e.sender)))
	e.pn = r.uvarint()
	e.age = r.uvarint()
	e.left = r.uvarint()
	if r.bad {
		return nil, errMalformed
	}
	if tag != d.tag {
		return nil, errForeign
	}
	if e.sender == d.self {
		return e, nil
	}

	var seq uint64 // of the message before
	if d.items(&r, &seq, false); r.bad {
		return nil, errMalformed
	}
	return e, nil
}

// items reads all of r, which with packed was compressed.
func (d *decoder) items(r *reader, seq *uint64, packed bool) {
	e := &d.env
	for len(r.b) > 0 && !r.bad {
		kind := r.byte()
		item := reader{b: r.take(r.length())}
		if r.bad {
			break
		}
		switch {
		case kind == kindMessage:
			d.message(&item, seq)
		case packed:
			item.bad = true // nothing else is worth it
		case kind == kindPacked:
			content, ok := unpack(item.b)
			inner := reader{b: content, bad: !ok}
			d.items(&inner, seq, true)
			item.bad = inner.bad
		case kind == kindHello:
			d.hello(&item)
		case kind == kindBeat:
			e.beat = d.readBeat(&item, &d.beat[0])
		case kind == kindAck && len(e.acks) == 0:
			e.acks = d.readRefs(&item)
		case kind == kindBye:
			e.bye = d.readBeat(&item, &d.beat[1])
		case kind == kindNak:
			for ns := d.ascending(&item, 2); len(ns) > 0; ns = ns[2:] {
				e.asks = append(e.asks, hole{ns[0], ns[1]})
			}
		case kind == kindRepair:
			for ns := d.ascending(&item, 4); len(ns) > 0; ns = ns[4:] {
				e.spans = append(e.spans, span{ns[0], ns[1], ns[2], ns[3]})
			}
		}
		r.bad = item.bad
	}
}

// ascending reads what appendNumbers wrote, unless it is too much.
func (d *decoder) ascending(r *reader, per int) []uint64 {
	n := r.uvarint()
	if n > maxHoles || len(d.env.asks)+len(d.env.spans) > 0 {
		r.bad = true
		return nil
	}
	d.numbers = d.numbers[:0]
	var last uint64
	for range int(n) * per {
		step := r.uvarint()
		if step > math.MaxUint64-last {
			r.bad = true
		}
		last += step
		d.numbers = append(d.numbers, last)
	}
	if r.bad {
		return nil
	}
	return d.numbers
}

func (d *decoder) message(r *reader, seq *uint64) {
	var m message
	m.flags = r.byte()
	step := r.uvarint()
	back := r.uvarint()
	if r.bad || step == 0 || step > math.MaxUint64-*seq {
		r.bad = true
		return
	}
	*seq += step
	m.seq = *seq
	if back == 0 || back > m.seq {
		r.bad = true
		return
	}
	m.prev = m.seq - back
	if m.flags&^msgKnown != 0 {
		return // of a later protocol: it counts as lost, not as an error
	}
	if m.flags&(msgRequest|msgAnswer) != 0 {
		m.id = r.uvarint()
	}
	m.channel = d.intern(r.take(r.length()))
	if m.flags&msgDirect == 0 {
		m.refs = d.readRefs(r)
		for i := range m.refs {
			back := m.refs[i].seq
			if back == 0 || back > m.seq {
				r.bad = true
				return
			}
			m.refs[i].seq = m.seq - back
		}
	}
	m.body = r.b[:len(r.b):len(r.b)]
	if len(m.channel) > MaxChannel {
		r.bad = true
	}
	if !r.bad {
		d.env.messages = append(d.env.messages, m)
	}
}

func (d *decoder) hello(r *reader) {
	var h hello
	h.flags = r.byte()
	copy(h.target[:], r.take(len(h.target)))
	h.base = r.uvarint()
	h.prev = r.uvarint()
	name := r.take(r.length())
	h.oldest, h.latest = 1, 1
	if len(r.b) > 0 {
		h.oldest, h.latest, h.caps = r.byte(), r.byte(), Capabilities(r.uvarint())
	}
	if len(name) > maxName || h.prev > h.base || h.oldest > h.latest {
		r.bad = true
	}
	if !r.bad {
		h.name = string(name)
		d.env.hellos = append(d.env.hellos, h)
	}
}

func (d *decoder) readBeat(r *reader, t *beat) *beat {
	*t = beat{state: r.byte(), head: r.uvarint()}
	t.refs = d.readRefs(r)
	return t
}

func (d *decoder) readRefs(r *reader) []ref {
	n := r.uvarint()
	if n > uint64(len(r.b))/5 { // each takes at least five bytes
		r.bad = true
		return nil
	}
	start := len(d.refs)
	for range n {
		d.refs = append(d.refs, ref{r.uint32(), r.uvarint()})
	}
	return d.refs[start:len(d.refs):len(d.refs)]
}

func (d *decoder) intern(b []byte) string {
	if s, ok := d.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(d.names) >= 256 || d.names == nil {
		d.names = make(map[string]string)
	}
	if len(s) <= MaxChannel {
		d.names[s] = s
	}
	return s
}

// A reader takes bytes off the front of b. Once bad, it stays bad and yields
// zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	if r.bad {
		return 0
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// length reads a length that the rest of b can hold.
func (r *reader) length() int {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return 0
	}
	return int(n)
}
