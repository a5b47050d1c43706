package polling

import (
	"bytes"
	"iter"
	"net/url"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/carillonhq/carillon/transport"
)

// Payloads of Engine.IO protocol 3 ("Payload"). Node reads them with
// engine.io-parser 2; where that lets something pass that no client sends (a
// length such as "1e1", a record that ends early), this does not.

// maxDigits is enough for the length of anything that fits into a POST.
const maxDigits = 9

// frames3 is frames for a text payload: each packet stands behind its length
// in UTF-16 units and a colon. Empty packets are skipped, as Node does.
func frames3(body []byte) iter.Seq2[transport.Frame, error] {
	return func(yield func(transport.Frame, error) bool) {
		if len(body) == 0 || !utf8.Valid(body) {
			yield(transport.Frame{}, ErrPayload)
			return
		}
		for len(body) > 0 {
			digits, _, ok := bytes.Cut(body[:min(len(body), maxDigits+1)], []byte{':'})
			n, valid := length(digits, '0')
			if !ok || !valid {
				yield(transport.Frame{}, ErrPayload)
				return
			}
			rest := body[len(digits)+1:]
			end, ok := units(rest, n)
			if !ok {
				yield(transport.Frame{}, ErrPayload)
				return
			}
			part := rest[:end:end]
			body = rest[end:]
			if len(part) > 0 && !pass(yield, false, part) {
				return
			}
		}
	}
}

// records3 is frames for a binary payload, of records as transport.Frames
// makes them.
func records3(body []byte) iter.Seq2[transport.Frame, error] {
	return func(yield func(transport.Frame, error) bool) {
		for more := true; more; more = len(body) > 0 {
			if len(body) == 0 || body[0] > 1 {
				yield(transport.Frame{}, ErrPayload)
				return
			}
			binary := body[0] == 1
			body = body[1:]
			digits, _, ok := bytes.Cut(body[:min(len(body), maxDigits+1)], []byte{255})
			n, valid := length(digits, 0)
			if ok {
				body = body[len(digits)+1:]
			}
			if !ok || !valid || n > len(body) || !binary && !utf8.Valid(body[:n]) {
				yield(transport.Frame{}, ErrPayload)
				return
			}
			part := body[:n:n]
			body = body[n:]
			if !pass(yield, binary, part) {
				return
			}
		}
	}
}

// pass yields what part is, and reports whether to go on.
func pass(yield func(transport.Frame, error) bool, binary bool, part []byte) bool {
	f, err := transport.V3.Decode(binary, part)
	if err != nil {
		err = ErrPayload
	}
	return yield(f, err) && err == nil
}

// length reads the decimal digits of a length, whose zero is the byte zero.
func length(digits []byte, zero byte) (n int, ok bool) {
	for _, c := range digits {
		if c -= zero; c > 9 {
			return 0, false
		}
		n = 10*n + int(c)
	}
	return n, 0 < len(digits) && len(digits) <= maxDigits
}

// units returns how many bytes of s, which is UTF-8, are n units of UTF-16.
func units(s []byte, n int) (bytes int, ok bool) {
	if n > len(s) {
		return 0, false
	}
	for n > 0 {
		r, size := utf8.DecodeRune(s[bytes:])
		if size == 0 {
			return 0, false
		}
		bytes += size
		n -= utf16.RuneLen(r)
	}
	return bytes, n == 0 // else it ends within a character
}

// newlines undoes what JSONP clients do to them, so that no form changes
// them: a line feed becomes \n, and \n becomes \\n.
var newlines = strings.NewReplacer(`\\n`, `\n`, `\n`, "\n")

// form returns the payload that a JSONP client puts into a form.
func form(body []byte) ([]byte, error) {
	values, err := url.ParseQuery(string(body))
	if err != nil || !values.Has("d") {
		return nil, ErrPayload
	}
	return []byte(newlines.Replace(values.Get("d"))), nil
}
