package polling

import (
	"bytes"
	"encoding/base64"
	"iter"
	"unicode/utf8"

	"github.com/carillonhq/carillon/transport"
)

// join returns the payload of several runs of frames.
func join(runs []*transport.Frames) []byte {
	n := len(runs)
	for _, f := range runs {
		n += len(f.Polling())
	}
	b := make([]byte, 0, n)
	for i, f := range runs {
		if i > 0 {
			b = append(b, transport.Separator)
		}
		b = append(b, f.Polling()...)
	}
	return b
}

// frames walks over the packets of a payload; it stops behind the first error,
// which is ErrPayload. Text frames are views into body, disjoint and owned by
// who takes them.
//
// Text that is not UTF-8 is refused as a WebSocket refuses it (RFC 6455,
// section 8.1): passed on, it would make other clients drop their connections.
func frames(body []byte) iter.Seq2[transport.Frame, error] {
	return func(yield func(transport.Frame, error) bool) {
		for more := true; more; {
			var part []byte
			part, body, more = bytes.Cut(body, []byte{transport.Separator})
			f, err := decode(part)
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

func decode(part []byte) (transport.Frame, error) {
	if len(part) > 0 && part[0] == 'b' {
		// Node takes base64 with and without padding.
		in := bytes.TrimRight(part[1:], "=")
		data, err := base64.RawStdEncoding.AppendDecode(nil, in)
		if err != nil {
			return transport.Frame{}, ErrPayload
		}
		return transport.Frame{Binary: true, Data: data}, nil
	}
	if !utf8.Valid(part) {
		return transport.Frame{}, ErrPayload
	}
	return transport.Frame{Data: part[:len(part):len(part)]}, nil
}
