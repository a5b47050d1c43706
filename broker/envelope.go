package broker

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
)

// The wire, little-endian, numbers in LEB128 unless a width is given:
//
//	envelope  'B' version flags cluster:u32 sender:16 pn age-ms left item*
//	item      kind:u8 length content
//	message   flags:u8 Δseq seq-prev id? length channel refs? body
//	refs      count (node:u32 seq-n)*
//	hello     flags:u8 target:16 base prev length name (oldest latest caps)?
//	beat, bye state:u8 head count (node:u32 n)*
//	ack       count (node:u32 n)*
//	nak       count (base upto)*
//	repair    count (base lost last upto)*
//	packed    message items, compressed as an S2 block
//
// pn grows with every envelope and every retry of one, so a greater pn proves
// life. age is how long the sender had been up. left says that the broker has
// all of the sender's messages up to this number, whoever they were for. As the
// order within a topic is kept, what has not come by the time both topics of a
// node brought this, is lost.
//
// A message is a statement: "for you, nothing of mine lies strictly between
// prev and seq". Δseq counts from the message before it in the envelope. In a
// message to all, prev is the message to all before it, and refs correct that
// for nodes that were sent something of their own in between. An id is there
// if the message is a request or an answer.
//
// A hello with a target states where the sender's messages begin for that
// node, which also proves that the sender has heard the target: after base,
// and nothing lies between prev and base. head, and the refs of a beat, are
// the last messages that reached the broker.
//
// A hello without versions is of one that knows version 1 alone. Two nodes speak
// the latest version that both understand; what is said to all is in one that
// all understand, and a hello to a stranger in the oldest there is.
//
// An ack, which goes with a beat, says up to which number its sender has all
// that the nodes named have said to it. It is only said if somebody has CapAck.
//
// A nak says what its sender misses of the receiver: after base, up to and
// including upto. Its numbers ascend, and each counts from the one before it,
// as do those of a repair, its answer. What lay after base up to lost is lost.
// Of the rest, the messages in the same envelope are all that there is for the
// receiver up to number upto; the last of them is number last. Neither is ever
// said to all.
//
// A long message is said in parts, one after the other: all but the last have
// the flag more, all but the first the flag part.
//
// Items of unknown kind are skipped. Keyed messages and interest have their
// place in flags and kinds, but are not spoken yet.
const (
	magic   = 'B'
	version = 1

	kindMessage = 1
	kindBeat    = 2
	kindHello   = 3
	kindBye     = 4
	kindNak     = 5
	kindRepair  = 6
	kindPacked  = 7
	kindAck     = 8

	msgDirect  = 1
	msgKey     = 2 // reserved
	msgS2      = 4 // reserved: a body that is compressed by itself
	msgRequest = 8
	msgAnswer  = 16
	msgRefused = 32 // an answer that is the text of an error
	msgMore    = 64 // the next message goes on with the body
	msgPart    = 128
	msgKnown   = msgDirect | msgRequest | msgAnswer | msgRefused | msgMore | msgPart

	helloWant     = 1 // "say hello to me, and beat: I miss where you begin, or something since"
	helloDraining = 2 // as stateDraining

	stateDraining = 1 // the sender is about to leave

	maxName = 255
)

var (
	errMalformed = errors.New("broker: malformed envelope")
	errVersion   = errors.New("broker: envelope of another version")
	errForeign   = errors.New("broker: envelope of another cluster")
)

func clusterTag(name string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(name))
	return h.Sum32()
}

type header struct {
	version byte
	flags   byte
	sender  NodeID
	pn      uint64
	age     uint64 // ms
	left    uint64
}

type ref struct {
	node uint32
	seq  uint64
}

type message struct {
	flags     byte
	null      bool // not on the wire: the statement of a message without one
	raw       bool // not on the wire: it is not to be compressed
	seq, prev uint64
	id        uint64
	channel   string
	refs      []ref
	body      []byte
}

// prevFor returns prev as it holds for the node with the given ref.
func (m *message) prevFor(node uint32) uint64 {
	p := m.prev
	for _, r := range m.refs {
		if r.node == node && r.seq > p {
			p = r.seq
		}
	}
	return p
}

type hello struct {
	flags      byte
	target     NodeID // zero: everybody
	base, prev uint64
	name       string

	oldest, latest uint8 // versions of the protocol
	caps           Capabilities
}

type beat struct {
	state byte
	head  uint64
	refs  []ref
}

// headFor returns the last message that left for the node with the given ref.
func (b *beat) headFor(node uint32) uint64 {
	h := b.head
	for _, r := range b.refs {
		if r.node == node && r.seq > h {
			h = r.seq
		}
	}
	return h
}

type envelope struct {
	header
	hellos   []hello
	beat     *beat
	acks     []ref
	asks     []hole
	spans    []span // answers to asks
	messages []message
	bye      *beat
}

func appendHeader(b []byte, tag uint32, h header) []byte {
	b = append(b, magic, h.version, h.flags)
	b = binary.LittleEndian.AppendUint32(b, tag)
	b = append(b, h.sender[:]...)
	b = binary.AppendUvarint(b, h.pn)
	b = binary.AppendUvarint(b, h.age)
	return binary.AppendUvarint(b, h.left)
}

// append encodes e. Messages must be in the order of their numbers. With a nil
// packer nothing is compressed.
func (e *envelope) append(b []byte, tag uint32, p *packer) []byte {
	b = appendHeader(b, tag, e.header)
	for i := range e.hellos {
		b = appendHello(b, &e.hellos[i])
	}
	if e.beat != nil {
		b = appendBeat(b, kindBeat, e.beat)
	}
	if len(e.acks) > 0 {
		b = appendAcks(b, e.acks)
	}
	if len(e.asks) > 0 {
		b = appendHoles(b, e.asks)
	}
	if len(e.spans) > 0 {
		b = appendSpans(b, e.spans)
	}
	var before uint64
	for ms := e.messages; len(ms) > 0; {
		n := 1 // that are alike in being compressed or not
		for n < len(ms) && ms[n].raw == ms[0].raw {
			n++
		}
		start := len(b)
		b = appendMessages(b, ms[:n], before)
		if !ms[0].raw {
			b = p.pack(b, start)
		}
		before, ms = ms[n-1].seq, ms[n:]
	}
	if e.bye != nil {
		b = appendBeat(b, kindBye, e.bye)
	}
	return b
}

// refBound is what a ref has at most on the wire.
const refBound = 4 + 10

// wireBound is what m has at most on the wire.
func (m *message) wireBound() int {
	return 40 + len(m.channel) + refBound*len(m.refs) + len(m.body)
}

func appendMessages(b []byte, ms []message, before uint64) []byte {
	for i := range ms {
		m := &ms[i]
		n := 1 + uvarintLen(m.seq-before) + uvarintLen(m.seq-m.prev) + uvarintLen(uint64(len(m.channel))) + len(m.channel) + len(m.body)
		if m.flags&(msgRequest|msgAnswer) != 0 {
			n += uvarintLen(m.id)
		}
		if m.flags&msgDirect == 0 {
			n += uvarintLen(uint64(len(m.refs)))
			for _, r := range m.refs {
				n += 4 + uvarintLen(m.seq-r.seq)
			}
		}
		b = append(b, kindMessage)
		b = binary.AppendUvarint(b, uint64(n))
		b = append(b, m.flags)
		b = binary.AppendUvarint(b, m.seq-before)
		b = binary.AppendUvarint(b, m.seq-m.prev)
		if m.flags&(msgRequest|msgAnswer) != 0 {
			b = binary.AppendUvarint(b, m.id)
		}
		b = binary.AppendUvarint(b, uint64(len(m.channel)))
		b = append(b, m.channel...)
		if m.flags&msgDirect == 0 {
			b = binary.AppendUvarint(b, uint64(len(m.refs)))
			for _, r := range m.refs {
				b = binary.LittleEndian.AppendUint32(b, r.node)
				b = binary.AppendUvarint(b, m.seq-r.seq)
			}
		}
		b = append(b, m.body...)
		before = m.seq
	}
	return b
}

func appendHello(b []byte, h *hello) []byte {
	n := 1 + len(h.target) + uvarintLen(h.base) + uvarintLen(h.prev) + uvarintLen(uint64(len(h.name))) + len(h.name) +
		2 + uvarintLen(uint64(h.caps))
	b = append(b, kindHello)
	b = binary.AppendUvarint(b, uint64(n))
	b = append(b, h.flags)
	b = append(b, h.target[:]...)
	b = binary.AppendUvarint(b, h.base)
	b = binary.AppendUvarint(b, h.prev)
	b = binary.AppendUvarint(b, uint64(len(h.name)))
	b = append(b, h.name...)
	b = append(b, h.oldest, h.latest)
	return binary.AppendUvarint(b, uint64(h.caps))
}

func appendBeat(b []byte, kind byte, t *beat) []byte {
	b = append(b, kind)
	b = binary.AppendUvarint(b, uint64(1+uvarintLen(t.head)+refsLen(t.refs)))
	b = append(b, t.state)
	b = binary.AppendUvarint(b, t.head)
	return appendRefs(b, t.refs)
}

func appendAcks(b []byte, acks []ref) []byte {
	b = append(b, kindAck)
	b = binary.AppendUvarint(b, uint64(refsLen(acks)))
	return appendRefs(b, acks)
}

func refsLen(rs []ref) int {
	n := uvarintLen(uint64(len(rs)))
	for _, r := range rs {
		n += 4 + uvarintLen(r.seq)
	}
	return n
}

func appendRefs(b []byte, rs []ref) []byte {
	b = binary.AppendUvarint(b, uint64(len(rs)))
	for _, r := range rs {
		b = binary.LittleEndian.AppendUint32(b, r.node)
		b = binary.AppendUvarint(b, r.seq)
	}
	return b
}

// appendNumbers appends an item of ascending numbers, per of them in each entry.
func appendNumbers(b []byte, kind byte, per int, ns []uint64) []byte {
	n := uvarintLen(uint64(len(ns) / per))
	var before uint64
	for _, v := range ns {
		n += uvarintLen(v - before)
		before = v
	}
	b = append(b, kind)
	b = binary.AppendUvarint(b, uint64(n))
	b = binary.AppendUvarint(b, uint64(len(ns)/per))
	before = 0
	for _, v := range ns {
		b = binary.AppendUvarint(b, v-before)
		before = v
	}
	return b
}

func appendHoles(b []byte, hs []hole) []byte {
	var ns []uint64
	for _, h := range hs {
		ns = append(ns, h.base, h.upto)
	}
	return appendNumbers(b, kindNak, 2, ns)
}

func appendSpans(b []byte, ss []span) []byte {
	var ns []uint64
	for _, s := range ss {
		ns = append(ns, s.base, s.lost, s.last, s.upto)
	}
	return appendNumbers(b, kindRepair, 4, ns)
}

func uvarintLen(n uint64) int {
	l := 1
	for ; n >= 0x80; n >>= 7 {
		l++
	}
	return l
}
