package transport

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"sync"
	"unicode/utf16"
)

// ErrEncoding says that the client sent a frame that cannot be decoded.
// It wraps ErrProtocol.
var ErrEncoding = fmt.Errorf("%w: undecodable frame", ErrProtocol)

// A Dialect is how a client wants its frames encoded. The zero value is
// Engine.IO protocol 4.
type Dialect uint8

const (
	V4     Dialect = iota // protocol 4
	V4Text                // protocol 4, to a client that takes no binary (b64=1)
	V3                    // protocol 3
	V3Text                // protocol 3, to a client that takes no binary (b64=1)

	dialects = iota
)

// messageType is the type of a binary packet, which only protocol 3 says
// (Engine.IO protocol 3, "Encoding"): as a byte where the packet is binary
// and as a digit where it is base64.
const messageType = 4

// Version is the number of the protocol: 3 or 4.
func (d Dialect) Version() int {
	if d >= V3 {
		return 3
	}
	return 4
}

// Binary reports whether the client takes binary frames.
func (d Dialect) Binary() bool { return d == V4 || d == V3 }

// Decode turns what a client sent in one WebSocket frame, or as one packet of
// a payload, into the frame that it means: base64 becomes binary, and the
// type before binary data is cut off. The frame may be a view into data. The
// error is ErrEncoding.
func (d Dialect) Decode(binary bool, data []byte) (Frame, error) {
	switch {
	case binary && d.Version() == 4:
		return Frame{true, data}, nil
	case binary:
		if len(data) == 0 || data[0] != messageType {
			return Frame{}, ErrEncoding
		}
		return Frame{true, data[1:]}, nil
	case len(data) == 0 || data[0] != 'b':
		return Frame{false, data}, nil
	}
	data = data[1:]
	if d.Version() == 3 {
		if len(data) == 0 || data[0] != '0'+messageType {
			return Frame{}, ErrEncoding
		}
		data = data[1:]
	}
	// Node takes base64 with and without padding.
	out, err := base64.RawStdEncoding.AppendDecode(nil, bytes.TrimRight(data, "="))
	if err != nil {
		return Frame{}, ErrEncoding
	}
	return Frame{true, out}, nil
}

// encode is the opposite of Decode.
func (d Dialect) encode(p Frame) Frame {
	if !p.Binary || d == V4 {
		return p
	}
	var b []byte
	switch d {
	case V3:
		return Frame{true, append([]byte{messageType}, p.Data...)}
	case V3Text:
		b = []byte{'b', '0' + messageType}
	default:
		b = []byte{'b'}
	}
	return Frame{false, base64.StdEncoding.AppendEncode(b, p.Data)}
}

// rare are the forms of a Frames that few clients take, each made once.
type rare struct {
	webSocket [dialects]lazy
	deflated  [dialects]lazy
	text4     lazy // of those with binary
	text3     lazy
	records3  lazy
}

type lazy struct {
	once sync.Once
	data []byte
}

func (l *lazy) get(encode func() []byte) []byte {
	l.once.Do(func() { l.data = encode() })
	return l.data
}

func (f *Frames) rarely() *rare {
	if r := f.rare.Load(); r != nil {
		return r
	}
	f.rare.CompareAndSwap(nil, new(rare))
	return f.rare.Load()
}

// in returns the frames in d's words.
func (f *Frames) in(d Dialect) []Frame {
	if !f.binary || d == V4 {
		return f.parts
	}
	parts := make([]Frame, len(f.parts))
	for i, p := range f.parts {
		parts[i] = d.encode(p)
	}
	return parts
}

// WebSocketAs is WebSocket for a client of dialect d. The caller must not
// change it.
func (f *Frames) WebSocketAs(d Dialect) []byte {
	if !f.binary || d == V4 {
		return f.wire
	}
	return f.rarely().webSocket[d].get(func() []byte {
		var b []byte
		for _, p := range f.in(d) {
			b = append(appendHeader(b, p.Binary, len(p.Data)), p.Data...)
		}
		return b
	})
}

// Polling3 returns the frames as a poll of Engine.IO protocol 3 carries them,
// one behind the other (Engine.IO protocol 3, "Payload"): as text, each
// behind its length in UTF-16 units and ":", with binary in base64; or as
// records, which a payload is made of that holds binary for a client that
// takes it. The caller must not change it.
func (f *Frames) Polling3(records bool) []byte {
	if records {
		return f.rarely().records3.get(func() []byte {
			var b []byte
			for _, p := range f.in(V3) {
				b = appendRecord(b, p)
			}
			return b
		})
	}
	return f.rarely().text3.get(func() []byte {
		var b []byte
		for _, p := range f.in(V3Text) {
			b = strconv.AppendInt(b, int64(utf16Len(p.Data)), 10)
			b = append(append(b, ':'), p.Data...)
		}
		return b
	})
}

// appendRecord appends a record: whether it is binary, the decimal digits of
// its length in bytes as bytes of those values, 255, and the data.
func appendRecord(b []byte, p Frame) []byte {
	kind := byte(0)
	if p.Binary {
		kind = 1
	}
	b = append(b, kind)
	for _, digit := range strconv.Itoa(len(p.Data)) {
		b = append(b, byte(digit-'0'))
	}
	return append(append(b, 255), p.Data...)
}

// utf16Len is the length of s in UTF-16 units: what JavaScript calls the
// length of a string, and protocol 3 that of a packet.
func utf16Len(s []byte) (n int) {
	for _, r := range string(s) {
		n += utf16.RuneLen(r)
	}
	return n
}
