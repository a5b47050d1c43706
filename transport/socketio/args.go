package socketio

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
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

// A Raw is one value as a client sent it, in the form of the server's Parser:
// with the default, JSON and the binary attachments it refers to. As an
// argument of Emit it is passed on as it is, without having been decoded. As a
// field of another value it is JSON, and binary stays binary. The zero Raw is
// null.
type Raw struct {
	data        []byte   // empty for null
	attachments [][]byte // what placeholders in data refer to; nil if there are none
	form        Form     // of data; nil for JSON
}

// RawJSON returns a Raw of JSON text, which must not change afterwards; it
// fails if text is not valid.
func RawJSON(text []byte) (Raw, error) {
	if !json.Valid(text) {
		return Raw{}, fmt.Errorf("socketio: not JSON")
	}
	return Raw{data: validUTF8(text)}, nil
}

// rawBinary returns a Raw that is nothing but binary.
func rawBinary(b []byte) Raw {
	return Raw{data: wholePlaceholder, attachments: [][]byte{b}}
}

var wholePlaceholder = appendPlaceholder(nil, 0)

// Decode stores the value in dst, a pointer, by the rules of encoding/json,
// whatever the Parser, or as a RawUnmarshaler does it. Binary goes into []byte, and within a value into Binary
// and Raw; it is a Binary in an any, map[string]any or []any that dst points
// to, but no field of type any can hold it.
func (r Raw) Decode(dst any) error {
	switch dst := dst.(type) {
	case *Raw:
		*dst = r
		return nil
	case RawUnmarshaler:
		return dst.UnmarshalRaw(r)
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
	text, err := r.inline()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, dst); err != nil {
		return err
	}
	switch dst := dst.(type) {
	case *any:
		*dst = uninline(*dst)
	case *map[string]any:
		uninline(*dst)
	case *[]any:
		uninline(*dst)
	}
	return nil
}

// IsNull reports whether the value is null, or is not there.
func (r Raw) IsNull() bool { return len(r.data) == 0 || r.form == nil && string(r.data) == "null" }

// MarshalJSON implements json.Marshaler, so that a Raw may be part of what is
// emitted.
func (r Raw) MarshalJSON() ([]byte, error) { return r.inline() }

// UnmarshalJSON implements json.Unmarshaler, so that a Raw may be part of what
// is decoded.
func (r *Raw) UnmarshalJSON(text []byte) error {
	*r = Raw{data: validUTF8(bytes.Clone(text))}
	return nil
}

// splitArray returns the elements of a JSON array that is known to be valid.
func splitArray(array []byte) []Raw {
	if len(array) == 0 {
		return nil
	}
	items := make([]Raw, 0, 2) // a name and an argument, mostly
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
					items = append(items, Raw{data: item})
				}
			}
		case ',':
			if depth == 1 {
				items = append(items, Raw{data: bytes.TrimSpace(array[start:i])})
				start = i + 1
			}
		}
	}
	return items
}

// unquote returns what a JSON string says.
func unquote(text []byte) (s string, err error) {
	for _, c := range text[1 : len(text)-1] {
		if c == '\\' || c >= utf8.RuneSelf {
			err = json.Unmarshal(text, &s)
			return s, err
		}
	}
	return string(text[1 : len(text)-1]), nil
}
