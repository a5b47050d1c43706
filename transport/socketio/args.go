package socketio

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Args are the arguments of an event or acknowledgement as they came, not yet
// decoded.
type Args []Raw

// Bind decodes the arguments, in order, into dst, which are pointers. An
// argument that the client left out leaves its dst as it is; arguments beyond
// dst are ignored.
func (a Args) Bind(dst ...any) error {
	for i, d := range dst {
		if i == len(a) {
			break
		}
		if err := a[i].Decode(d); err != nil {
			return fmt.Errorf("argument %d: %w", i+1, err)
		}
	}
	return nil
}

// A Raw is one value as a client sent it: JSON, with the binary attachments it
// refers to. As an argument of Emit, or as a field of one, it is passed on as
// it is, without having been decoded. The zero Raw is null.
type Raw struct {
	json        []byte
	attachments [][]byte // what placeholders in json refer to; nil if there are none
}

// RawJSON returns a Raw of valid JSON, which must not change afterwards.
func RawJSON(text []byte) (Raw, error) {
	if !json.Valid(text) {
		return Raw{}, fmt.Errorf("socketio: not JSON")
	}
	return Raw{json: text}, nil
}

// Decode stores the value in dst, a pointer, by the rules of encoding/json;
// binary goes into []byte, Binary or Raw.
func (r Raw) Decode(dst any) error {
	switch dst := dst.(type) {
	case *Raw:
		*dst = r
		return nil
	case *[]byte:
		if b, ok := r.binary(); ok {
			*dst = b
			return nil
		}
	case *Binary:
		if b, ok := r.binary(); ok {
			*dst = b
			return nil
		}
	}
	return json.Unmarshal(r.inline(), dst)
}

// IsNull reports whether the value is null, or is not there.
func (r Raw) IsNull() bool { return len(r.json) == 0 || string(r.json) == "null" }

// MarshalJSON implements json.Marshaler, so that a Raw may be part of what is
// emitted.
func (r Raw) MarshalJSON() ([]byte, error) { return r.inline(), nil }

// UnmarshalJSON implements json.Unmarshaler, so that a Raw may be part of what
// is decoded.
func (r *Raw) UnmarshalJSON(text []byte) error {
	r.json, r.attachments = bytes.Clone(text), nil
	return nil
}

// splitArray returns the elements of a JSON array that is known to be valid.
func splitArray(array []byte) []Raw {
	var items []Raw
	depth, start, quoted := 0, 1, false
	for i := 0; i < len(array); i++ {
		c := array[i]
		if quoted {
			switch c {
			case '\\':
				i++
			case '"':
				quoted = false
			}
			continue
		}
		switch c {
		case '"':
			quoted = true
		case '[', '{':
			depth++
		case ']', '}':
			depth--
			if depth == 0 {
				if item := bytes.TrimSpace(array[start:i]); len(item) > 0 {
					items = append(items, Raw{json: item})
				}
			}
		case ',':
			if depth == 1 {
				items = append(items, Raw{json: bytes.TrimSpace(array[start:i])})
				start = i + 1
			}
		}
	}
	return items
}
