package broker

import (
	"encoding/binary"

	"github.com/klauspost/compress/s2"
)

const (
	packFrom   = 1 << 10 // bytes of messages in an envelope from which on compressing is tried
	packGain   = 8       // it must save at least one part in so many,
	packMisses = 8       // and after so many times in a row in which it did not,
	packRetry  = 16      // only one envelope in so many is tried
	maxPacked  = 1 << 20 // bytes that a packed item may decode to
)

// A packer compresses the messages of one topic's envelopes, as long as it is
// worth it. The zero value compresses; a nil packer does not.
type packer struct {
	off     bool
	misses  int // in a row
	skipped int // since the last try
	buf     []byte
}

// pack replaces the items from start on by a packed one, if it pays.
func (p *packer) pack(b []byte, start int) []byte {
	items := b[start:]
	if p == nil || p.off || len(items) < packFrom || len(items) > maxPacked {
		return b
	}
	if p.misses >= packMisses {
		if p.skipped++; p.skipped < packRetry {
			return b
		}
		p.skipped = 0
	}
	if n := s2.MaxEncodedLen(len(items)); cap(p.buf) < n {
		p.buf = make([]byte, n)
	}
	packed := s2.Encode(p.buf[:cap(p.buf)], items)
	if len(packed)+1+uvarintLen(uint64(len(packed))) > len(items)-len(items)/packGain {
		p.misses++
		return b
	}
	p.misses = 0
	b = append(b[:start], kindPacked)
	b = binary.AppendUvarint(b, uint64(len(packed)))
	return append(b, packed...)
}

// unpack returns the items that were packed in b. It looks at the size they
// claim to have before it allocates anything.
func unpack(b []byte) ([]byte, bool) {
	if n, err := s2.DecodedLen(b); err != nil || n > maxPacked {
		return nil, false
	}
	items, err := s2.Decode(nil, b)
	return items, err == nil
}
