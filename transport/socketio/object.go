package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// A RawUnmarshaler decodes itself, where Raw.Decode would leave it to
// encoding/json. What a busy event carries can spare itself the second look at
// text that was checked when it came: see Raw.Fields. It must not keep what it
// does not decode for longer than the event, or copy it.
type RawUnmarshaler interface{ UnmarshalRaw(r Raw) error }

// A RawMarshaler encodes itself, as an argument of Emit and the like: see
// Object. Elsewhere encoding/json is asked, so that a type should have both
// ways say the same.
type RawMarshaler interface{ MarshalRaw() (Raw, error) }

// Fields calls f with the fields of an object, in their order, as parts of r
// that are not copied: values as they stand, and a key without its quotes. It
// reports false, whatever it called f for, if f did or if r is no such
// object: one in plain JSON, without binary, and with no escape in a key. Such
// is for Decode.
func (r Raw) Fields(f func(key []byte, value Raw) bool) bool {
	if r.form != nil || r.attachments != nil {
		return false
	}
	text := r.data
	i := spaceEnd(text, 0)
	if i >= len(text) || text[i] != '{' {
		return false
	}
	if i = spaceEnd(text, i+1); i < len(text) && text[i] == '}' {
		return true
	}
	for i < len(text) && text[i] == '"' {
		end := stringEnd(text, i)
		if end < 0 {
			return false
		}
		key := text[i+1 : end-1]
		if bytes.IndexByte(key, '\\') >= 0 {
			return false
		}
		i = spaceEnd(text, end)
		if i >= len(text) || text[i] != ':' {
			return false
		}
		i = spaceEnd(text, i+1)
		if end = valueEnd(text, i); end <= i {
			return false
		}
		if !f(key, Raw{data: text[i:end:end]}) {
			return false
		}
		i = spaceEnd(text, end)
		if i >= len(text) {
			return false
		}
		if text[i] == '}' {
			return true
		}
		i = spaceEnd(text, i+1) // behind a comma
	}
	return false
}

// Text returns what a string says; it reports false for anything else.
func (r Raw) Text() (string, bool) {
	if r.form != nil || r.attachments != nil || len(r.data) < 2 || r.data[0] != '"' {
		return "", false
	}
	s, err := unquote(r.data)
	return s, err == nil
}

// spaceEnd returns where the white space from i on ends.
func spaceEnd(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n') {
		i++
	}
	return i
}

// stringEnd returns where the string that begins at i ends, or -1.
func stringEnd(text []byte, i int) int {
	for i++; ; {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			return -1
		}
		escape := bytes.IndexByte(text[i:i+n], '\\')
		if escape < 0 {
			return i + n + 1
		}
		if i += escape + 2; i > len(text) { // behind what is escaped
			return -1
		}
	}
}

// valueEnd returns where the value that begins at i ends, without its white
// space, or -1. That the text is valid JSON was seen before.
func valueEnd(text []byte, i int) int {
	depth := 0
	for i < len(text) {
		switch text[i] {
		case '"':
			if i = stringEnd(text, i); i < 0 || depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return -1
}

// An Object writes a JSON object, field by field. The zero value is ready for
// use.
type Object struct {
	b   []byte
	err error
}

func (o *Object) key(key string) {
	if len(o.b) == 0 {
		o.b = append(make([]byte, 0, 256), '{')
	} else {
		o.b = append(o.b, ',')
	}
	o.b = appendQuoted(o.b, key)
	o.b = append(o.b, ':')
}

// String writes a field that is a string. What of it is not UTF-8 is replaced,
// as encoding/json does.
func (o *Object) String(key, value string) {
	o.key(key)
	o.b = appendQuoted(o.b, strings.ToValidUTF8(value, "\uFFFD"))
}

// Int writes a field that is a whole number.
func (o *Object) Int(key string, value int64) {
	o.key(key)
	o.b = strconv.AppendInt(o.b, value, 10)
}

// Raw writes a field that is a value as a client sent it. Binary stays binary.
func (o *Object) Raw(key string, value Raw) {
	o.key(key)
	text, err := value.inline()
	if err == nil && value.form != nil && !json.Valid(text) {
		err = errForm
	}
	if err != nil && o.err == nil {
		o.err = err
	}
	o.b = append(o.b, text...)
}

// errForm is what encoding/json would say of a Form that writes no JSON.
var errForm = errors.New("socketio: a value's form wrote what is not JSON")

// Done returns the object. Nothing more may be written.
func (o *Object) Done() (Raw, error) {
	if o.err != nil {
		return Raw{}, o.err
	}
	if len(o.b) == 0 {
		o.b = append(o.b, '{')
	}
	return Raw{data: validUTF8(append(o.b, '}'))}, nil
}
