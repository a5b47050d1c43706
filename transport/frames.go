package transport

import (
	"encoding/base64"
	"encoding/binary"
	"sync/atomic"
)

// A Frame is one frame's type and payload.
type Frame struct {
	Binary bool
	Data   []byte
}

// Frames is a run of frames that nothing may come between: one text frame, or
// a text frame and the binary frames that belong to it. It is encoded once,
// never changes, and may be sent on any number of Conns at the same time.
//
// What most clients take is encoded by NewFrames; the other forms (base64 for
// polling, those of protocol 3, compressed ones) are made when the first Conn
// asks for them, and then kept.
type Frames struct {
	wire   []byte  // WebSocket frames, one behind the other
	parts  []Frame // their payloads, as views into wire
	one    [1]Frame
	binary bool // one of parts is
	plain  bool // not to be compressed

	rare atomic.Pointer[rare] // nil until a form is asked for that few clients take
}

// NewFrames copies the payloads of parts into a new Frames.
func NewFrames(parts ...Frame) *Frames {
	n := 0
	for _, p := range parts {
		n += maxHeader + len(p.Data)
	}
	f := &Frames{wire: make([]byte, 0, n)}
	if len(parts) == 1 {
		f.parts = f.one[:0]
	} else {
		f.parts = make([]Frame, 0, len(parts))
	}
	for _, p := range parts {
		f.wire = appendHeader(f.wire, p.Binary, len(p.Data))
		f.binary = f.binary || p.Binary
		start := len(f.wire)
		f.wire = append(f.wire, p.Data...)
		f.parts = append(f.parts, Frame{p.Binary, f.wire[start:len(f.wire):len(f.wire)]})
	}
	return f
}

// JoinText is NewFrames of one text frame whose payload comes in pieces.
func JoinText(pieces ...[]byte) *Frames {
	n := 0
	for _, p := range pieces {
		n += len(p)
	}
	f := &Frames{wire: appendHeader(make([]byte, 0, maxHeader+n), false, n)}
	start := len(f.wire)
	for _, p := range pieces {
		f.wire = append(f.wire, p...)
	}
	f.one[0].Data = f.wire[start:len(f.wire):len(f.wire)]
	f.parts = f.one[:]
	return f
}

// Text is NewFrames of one text frame.
func Text(s string) *Frames { return NewFrames(Frame{Data: []byte(s)}) }

// NoCompress keeps Conns from compressing f, as it would not pay: encrypted
// data, images. It is called before f is sent, and returns f.
func (f *Frames) NoCompress() *Frames {
	f.plain = true
	return f
}

// Compressible is false after NoCompress.
func (f *Frames) Compressible() bool { return !f.plain }

// HasBinary reports whether one of the frames is binary.
func (f *Frames) HasBinary() bool { return f.binary }

// WebSocket returns the frames as a server writes them to a WebSocket
// (RFC 6455, section 5.2: final, unmasked). The caller must not change it.
func (f *Frames) WebSocket() []byte { return f.wire }

// Parts returns the payloads. The caller must not change them.
func (f *Frames) Parts() []Frame { return f.parts }

// Polling returns the frames as an Engine.IO v4 poll carries them: joined by
// 0x1e, binary as "b" and base64. The caller must not change it.
func (f *Frames) Polling() []byte {
	if len(f.parts) == 1 && !f.parts[0].Binary {
		return f.parts[0].Data
	}
	return f.rarely().text4.get(func() []byte {
		n := len(f.parts)
		for _, p := range f.parts {
			n += 1 + base64.StdEncoding.EncodedLen(len(p.Data))
		}
		b := make([]byte, 0, n)
		for i, p := range f.parts {
			if i > 0 {
				b = append(b, Separator)
			}
			if p.Binary {
				b = append(b, 'b')
				b = base64.StdEncoding.AppendEncode(b, p.Data)
			} else {
				b = append(b, p.Data...)
			}
		}
		return b
	})
}

// Separator joins the packets of a polling payload (Engine.IO protocol v4).
const Separator = 0x1e

const maxHeader = 10 // of an unmasked WebSocket frame

// appendHeader appends the header of a final, unmasked WebSocket frame.
func appendHeader(b []byte, bin bool, n int) []byte {
	op := byte(0x81)
	if bin {
		op = 0x82
	}
	switch {
	case n < 126:
		return append(b, op, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, op, 126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, op, 127), uint64(n))
	}
}
