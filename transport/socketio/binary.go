package socketio

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
)

// Binary is bytes that travel as a binary attachment, also inside a struct, a
// map or a slice (where a plain []byte is base64 text, as encoding/json has
// it). As an argument of its own, []byte travels as an attachment too.
type Binary []byte

// Between a packet and Go values stands encoding/json, which knows no
// attachments. On that way a binary value is a string in the JSON text: this
// mark, then base64. The mark is random and no client is told it, so none can
// forge one.
var inlineMark = "binary:" + rand.Text() + ":"

// MarshalJSON implements json.Marshaler.
func (b Binary) MarshalJSON() ([]byte, error) { return appendInline(nil, b), nil }

// UnmarshalJSON implements json.Unmarshaler. It takes binary, and base64 text.
func (b *Binary) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("binary expected: %w", err)
	}
	raw, err := base64.StdEncoding.DecodeString(trimMark(s))
	*b = raw
	return err
}

func trimMark(s string) string {
	if len(s) >= len(inlineMark) && s[:len(inlineMark)] == inlineMark {
		return s[len(inlineMark):]
	}
	return s
}

func appendInline(b, data []byte) []byte {
	b = append(b, '"')
	b = append(b, inlineMark...)
	b = base64.StdEncoding.AppendEncode(b, data)
	return append(b, '"')
}

// inline returns r's JSON with each placeholder replaced by what it stands for.
func (r Raw) inline() []byte {
	if len(r.json) == 0 {
		return []byte("null")
	}
	if r.attachments == nil {
		return r.json
	}
	return replacePlaceholders(r.json, func(b []byte, num int) []byte {
		return appendInline(b, r.attachments[num])
	})
}

// binary returns the attachment that r is, if it is nothing else.
func (r Raw) binary() ([]byte, bool) {
	if r.attachments != nil {
		if start, end, num, ok := nextPlaceholder(r.json, 0); ok && start == 0 && end == len(r.json) {
			return r.attachments[num], true
		}
		return nil, false
	}
	if bytes.HasPrefix(r.json, []byte(`"`+inlineMark)) {
		data, err := base64.StdEncoding.AppendDecode(nil, r.json[1+len(inlineMark):len(r.json)-1])
		return data, err == nil
	}
	return nil, false
}

// extractInline appends text to b with each marked string replaced by a
// placeholder, and the bytes it held to attachments.
func extractInline(b, text []byte, attachments [][]byte) ([]byte, [][]byte) {
	mark := []byte(`"` + inlineMark)
	for {
		i := bytes.Index(text, mark)
		if i < 0 {
			return append(b, text...), attachments
		}
		b = append(b, text[:i]...)
		text = text[i+len(mark):]
		end := bytes.IndexByte(text, '"')
		// Both only if a program made such a string by hand.
		if end < 0 {
			return append(append(b, mark...), text...), attachments
		}
		data, err := base64.StdEncoding.AppendDecode(nil, text[:end])
		if err != nil {
			b = append(b, mark...)
			continue
		}
		b = appendPlaceholder(b, len(attachments))
		attachments = append(attachments, data)
		text = text[end+1:]
	}
}

func appendPlaceholder(b []byte, num int) []byte {
	b = append(b, `{"_placeholder":true,"num":`...)
	b = strconv.AppendInt(b, int64(num), 10)
	return append(b, '}')
}

// replacePlaceholders returns valid JSON with each placeholder replaced by
// what with appends.
func replacePlaceholders(text []byte, with func(b []byte, num int) []byte) []byte {
	var b []byte
	from := 0
	for {
		start, end, num, ok := nextPlaceholder(text, from)
		if !ok {
			return append(b, text[from:]...)
		}
		b = append(b, text[from:start]...)
		b = with(b, num)
		from = end
	}
}

// nextPlaceholder finds the first {"_placeholder":true,"num":n} in valid JSON
// behind from, which is 0 or a former end. Clients other than Node's may space
// and order the two keys differently.
func nextPlaceholder(text []byte, from int) (start, end, num int, ok bool) {
	quoted := false
	for i := from; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && c == '{':
			// What begins as an object and is JSON is that object.
			n := bytes.IndexByte(text[i:min(len(text), i+maxPlaceholder)], '}') + 1
			if num, ok := placeholder(text[i : i+n]); ok {
				return i, i + n, num, true
			}
		}
	}
	return 0, 0, 0, false
}

// maxPlaceholder bounds the length of a placeholder's text.
const maxPlaceholder = 128

func placeholder(object []byte) (num int, ok bool) {
	if !bytes.Contains(object, []byte(`"_placeholder"`)) {
		return 0, false
	}
	var p struct {
		Placeholder bool `json:"_placeholder"`
		Num         *int `json:"num"`
	}
	if json.Unmarshal(object, &p) != nil || !p.Placeholder || p.Num == nil {
		return 0, false
	}
	return *p.Num, true
}

// attach gives a packet's arguments its attachments, once they are all here,
// and fails if a placeholder refers to none of them.
func attach(args []Raw, attachments [][]byte) error {
	for i := range args {
		found := false
		for from := 0; ; {
			_, end, num, ok := nextPlaceholder(args[i].json, from)
			if !ok {
				break
			}
			if num < 0 || num >= len(attachments) {
				return fmt.Errorf("%w: illegal attachments", errPacket)
			}
			found, from = true, end
		}
		if found {
			args[i].attachments = attachments
		}
	}
	return nil
}
