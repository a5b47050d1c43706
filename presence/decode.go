package presence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

var (
	errMalformed = errors.New("presence: malformed message")
	errVersion   = errors.New("presence: message of another version")
)

// decode reads a message. Nothing in it refers to b.
func decode(b []byte) (m message, err error) {
	r := reader{b: b}
	if v := r.byte(); v != version && !r.bad {
		return m, fmt.Errorf("%w: %d", errVersion, v)
	}
	m.kind = r.byte()
	m.uptime = r.uvarint()
	switch m.kind {
	case kindOps:
		m.first = r.uvarint()
		m.ops = r.devices(true)
	case kindBeat:
		m.flags = r.byte()
		m.first = r.uvarint()
		m.digest = r.uint64()
		m.devices = r.uvarint()
		m.grace = r.uvarint()
	case kindPull:
		m.nonce = r.uint64()
		m.first = r.uvarint()
		m.digests = r.digests()
	case kindRange:
		m.nonce = r.uint64()
		m.first = r.uvarint()
		m.ops = r.devices(true)
	case kindAnswer:
		m.nonce = r.uint64()
		m.first = r.uvarint()
		m.now, m.later = r.uint64(), r.uint64()
	case kindPage:
		m.nonce = r.uint64()
		m.sections = r.sections()
	case kindBye:
		m.grace = r.uvarint()
	}
	if len(m.ops) > 0 && (m.first == 0 || m.first > math.MaxUint64-uint64(len(m.ops))) {
		r.bad = true
	}
	if r.bad {
		return message{}, fmt.Errorf("%w: kind %d, at byte %d of %d", errMalformed, m.kind, len(b)-len(r.b), len(b))
	}
	return m, nil
}

// A reader takes bytes until there are too few, which makes it bad.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if p := r.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string {
	n := r.uvarint()
	if n > MaxMeta {
		r.bad = true
	}
	return string(r.take(n))
}

// devices reads to the end. gone tells whether a device may be.
func (r *reader) devices(gone bool) (ds []device) {
	for len(r.b) > 0 && !r.bad {
		var d device
		d.flags = r.byte()
		d.ulen = r.byte()
		dlen := r.byte()
		d.key = string(r.take(uint64(d.ulen) + uint64(dlen)))
		if d.ulen == 0 || dlen == 0 || d.flags&flagGone != 0 && !gone {
			r.bad = true
		}
		if d.flags&flagGone == 0 {
			since := r.uvarint()
			if since > math.MaxUint32 {
				r.bad = true
			}
			d.since = uint32(since)
			if d.flags&flagMeta != 0 {
				m := Meta{r.text(), r.text(), r.text()}
				if m.size() > MaxMeta {
					r.bad = true
				}
				if m != (Meta{}) {
					d.meta = &m
				}
			}
		}
		d.flags &= flagGone | flagsKept
		if !r.bad {
			ds = append(ds, d)
		}
	}
	return ds
}

func (r *reader) digests() (ds []uint64) {
	for len(r.b) > 0 && !r.bad {
		shard, digest := r.byte(), r.uint64()
		if shard >= shards {
			r.bad = true
		}
		if r.bad {
			return nil
		}
		if ds == nil {
			ds = make([]uint64, shards)
		}
		ds[shard] = digest
	}
	return ds
}

func (r *reader) sections() (ss []section) {
	for len(r.b) > 0 && !r.bad {
		s := section{shard: r.byte(), flags: r.byte()}
		part := reader{b: r.take(r.uvarint())}
		if s.shard >= shards || r.bad {
			r.bad = true
			return nil
		}
		s.devices = part.devices(false)
		for i := range s.devices {
			part.bad = part.bad || shardOf(cellOf(s.devices[i].user())) != int(s.shard)
		}
		if part.bad {
			r.bad = true
			return nil
		}
		ss = append(ss, s)
	}
	return ss
}
