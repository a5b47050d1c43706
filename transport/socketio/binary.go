package socketio

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
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

// uninline makes a Binary of each string in v that stands for one.
func uninline(v any) any {
	switch v := v.(type) {
	case string:
		if strings.HasPrefix(v, inlineMark) {
			if data, err := base64.StdEncoding.DecodeString(trimMark(v)); err == nil {
				return Binary(data)
			}
		}
	case []any:
		for i := range v {
			v[i] = uninline(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = uninline(v[key])
		}
	}
	return v
}

func appendInline(b, data []byte) []byte {
	b = append(b, '"')
	b = append(b, inlineMark...)
	b = base64.StdEncoding.AppendEncode(b, data)
	return append(b, '"')
}

// inline returns r as JSON with each placeholder replaced by what it stands for.
func (r Raw) inline() ([]byte, error) {
	switch {
	case len(r.data) == 0:
		return []byte("null"), nil
	case r.form != nil:
		return r.form.AppendJSON(nil, r.data)
	case r.attachments == nil:
		return r.data, nil
	}
	return replacePlaceholders(r.data, func(b []byte, num int) []byte {
		return appendInline(b, r.attachments[num])
	}), nil
}

// binary returns the attachment that r is, if it is nothing else.
func (r Raw) binary() ([]byte, bool) {
	if r.attachments != nil {
		if bytes.Equal(r.data, wholePlaceholder) {
			return r.attachments[0], true
		}
		if start, end, num, ok := nextPlaceholder(r.data, 0); ok && start == 0 && end == len(r.data) {
			return r.attachments[num], true
		}
		return nil, false
	}
	if r.form != nil {
		return nil, false
	}
	return BinaryIn(r.data)
}

// BinaryIn returns the bytes that a JSON string holds if Binary.MarshalJSON
// made it, for a Parser that makes binary of such strings.
func BinaryIn(text []byte) (data []byte, ok bool) {
	if !bytes.HasPrefix(text, quotedMark) || len(text) == len(quotedMark) {
		return nil, false
	}
	data, err := base64.StdEncoding.AppendDecode([]byte{}, text[len(quotedMark):len(text)-1])
	return data, err == nil
}

var quotedMark = []byte(`"` + inlineMark)

// extractInline appends text to b with each marked string replaced by a
// placeholder, and the bytes it held to attachments.
func extractInline(b, text []byte, attachments [][]byte) ([]byte, [][]byte) {
	mark := quotedMark
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
	if digits, ok := bytes.CutPrefix(object, []byte(`{"_placeholder":true,"num":`)); ok {
		if n, err := decimal(digits[:len(digits)-1], math.MaxInt32); err == nil {
			return int(n), true
		}
	}
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

// attach gives a packet's arguments its attachments, once they are all here.
//
// A placeholder that is no proper one is refused: passed on, it would be an
// error to every client that gets it. So are more placeholders than there are
// attachments, which no encoder writes: many that name the same one would make
// a small packet large.
func attach(args []Raw, attachments [][]byte) error {
	left := len(attachments)
	for i := range args {
		found := 0
		for from := 0; ; found++ {
			_, end, num, ok := nextPlaceholder(args[i].data, from)
			if !ok {
				break
			}
			left--
			if num < 0 || num >= len(attachments) || left < 0 {
				return fmt.Errorf("%w: illegal attachments", errPacket)
			}
			from = end
		}
		if placeholderKeys(args[i].data) != found {
			return fmt.Errorf("%w: illegal attachments", errPacket)
		}
		if found > 0 {
			args[i].attachments = attachments
		}
	}
	return nil
}

// placeholderKeys counts the keys "_placeholder" in valid JSON.
func placeholderKeys(text []byte) (n int) {
	for i := 0; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		start, escaped := i, false
		for i++; i < len(text) && text[i] != '"'; i++ {
			if text[i] == '\\' {
				escaped = true
				i++
			}
		}
		if i >= len(text) {
			break // what another's Form took for JSON
		}
		token := text[start : i+1]
		if after := bytes.TrimLeft(text[i+1:], " \t\r\n"); len(after) == 0 || after[0] != ':' {
			continue
		}
		key := string(token)
		if escaped {
			if s, err := unquote(token); err == nil {
				key = `"` + s + `"`
			}
		}
		if key == `"_placeholder"` {
			n++
		}
	}
	return n
}
