package polling

import (
	"bytes"
	"iter"
	"unicode/utf8"

	"github.com/carillonhq/carillon/transport"
)

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
	if !utf8.Valid(part) {
		return transport.Frame{}, ErrPayload
	}
	f, err := transport.V4Text.Decode(false, part[:len(part):len(part)])
	if err != nil {
		return f, ErrPayload
	}
	return f, nil
}
