package socketio

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/carillonhq/carillon/transport"
)

// encoded is a packet as it goes to a client.
type encoded []transport.Frame

// encodeEvent encodes an event; id is NoID where no acknowledgement is wanted.
func encodeEvent(p Parser, namespace string, id uint64, event string, args []any) (encoded, error) {
	if reserved[event] {
		return nil, fmt.Errorf("emit %q: %w", event, ErrReserved)
	}
	name := appendQuoted(make([]byte, 0, len(event)+2), strings.ToValidUTF8(event, "\uFFFD"))
	k := newPacket(TypeEvent, namespace, id)
	k.Args = append(k.Args, Raw{data: name})
	e, err := encodeArgs(p, k, args)
	if err != nil {
		return nil, fmt.Errorf("emit %q: %w", event, err)
	}
	return e, nil
}

// encodeAck encodes an acknowledgement.
func encodeAck(p Parser, namespace string, id uint64, args []any) (encoded, error) {
	return encodeArgs(p, newPacket(TypeAck, namespace, id), args)
}

// newPacket returns a Packet that has room for a name and an argument.
func newPacket(typ PacketType, namespace string, id uint64) *Packet {
	k := new(struct {
		Packet
		args [2]Raw
	})
	k.Packet = Packet{typ, namespace, id, k.args[:0]}
	return &k.Packet
}

// encodeArgs encodes k with args behind those that it has.
func encodeArgs(p Parser, k *Packet, args []any) (encoded, error) {
	for i, arg := range args {
		r, err := rawOf(arg)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		k.Args = append(k.Args, r)
	}
	return p.Encode(k)
}

// encodeObject encodes a packet whose payload is one value or, for nil, none.
func encodeObject(p Parser, typ PacketType, namespace string, payload any) encoded {
	k := &Packet{Type: typ, Namespace: namespace, ID: NoID}
	if payload != nil {
		r, err := rawOf(payload)
		if err != nil { // of data in an application's Error
			r = internalError
		}
		k.Args = []Raw{r}
	}
	e, err := p.Encode(k)
	if err != nil && payload != nil { // of the same, where the Parser has bounds
		k.Args = []Raw{internalError}
		e, err = p.Encode(k)
	}
	if err != nil {
		return nil
	}
	return e
}

var internalError = Raw{data: []byte(`{"message":"internal error"}`)}

// rawOf encodes a Go value.
func rawOf(v any) (Raw, error) {
	switch v := v.(type) {
	case Raw:
		return v, nil
	case []byte:
		return rawBinary(v), nil
	case Binary:
		return rawBinary(v), nil
	case RawMarshaler:
		return v.MarshalRaw()
	}
	text, err := json.Marshal(v)
	return Raw{data: validUTF8(text)}, err
}

// validUTF8 returns text with what is not UTF-8 replaced. Neither json.Valid
// nor json.Marshal (of a json.RawMessage) looks, but browsers do: they close a
// connection that brings them such a text.
func validUTF8(text []byte) []byte {
	if utf8.Valid(text) {
		return text
	}
	return bytes.ToValidUTF8(text, []byte("\uFFFD"))
}

// appendQuoted appends s, which is UTF-8, as JSON.
func appendQuoted[S string | []byte](b []byte, s S) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			b = append(b, s[from:i]...)
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			from = i + 1
		}
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

// Encode implements Parser.
func (p jsonParser) Encode(k *Packet) ([]transport.Frame, error) {
	size := len(k.Namespace) + 32
	for _, r := range k.Args {
		size += len(r.data) + 1
	}
	text := appendHeader(make([]byte, 0, size), k.Type, 0, k.Namespace, k.ID)
	header := len(text)
	list := k.Type == TypeEvent || k.Type == TypeAck
	if list {
		text = append(text, '[')
	}
	var attachments [][]byte
	for i, r := range k.Args {
		if i > 0 {
			text = append(text, ',')
		}
		var err error
		if text, attachments, err = appendRaw(text, attachments, r); err != nil {
			return nil, err
		}
	}
	if list {
		text = append(text, ']')
	}
	if len(attachments) == 0 {
		return []transport.Frame{{Data: text}}, nil
	}
	if placeholderKeys(text[header:]) != len(attachments) {
		return nil, errPlaceholder
	}
	typ := k.Type + typeBinaryEvent - TypeEvent
	whole := appendHeader(make([]byte, 0, len(text)+8), typ, len(attachments), k.Namespace, k.ID)
	frames := make([]transport.Frame, 1, 1+len(attachments))
	frames[0].Data = append(whole, text[header:]...)
	for _, a := range attachments {
		frames = append(frames, transport.Frame{Binary: true, Data: a})
	}
	return frames, nil
}

// errPlaceholder refuses what the receiving client could not tell from binary,
// and would end its connection for.
var errPlaceholder = errors.New(`socketio: a key "_placeholder" beside binary`)

// appendRaw appends r's JSON to b, and its binary to attachments.
func appendRaw(b []byte, attachments [][]byte, r Raw) ([]byte, [][]byte, error) {
	if r.attachments != nil {
		b = append(b, replacePlaceholders(r.data, func(b []byte, num int) []byte {
			b = appendPlaceholder(b, len(attachments))
			attachments = append(attachments, r.attachments[num])
			return b
		})...)
		return b, attachments, nil
	}
	text, err := r.inline()
	if err != nil {
		return b, attachments, err
	}
	b, attachments = extractInline(b, text, attachments)
	return b, attachments, nil
}

// appendHeader appends all of a packet's text that precedes its payload,
// behind the digit of an Engine.IO message.
func appendHeader(b []byte, typ PacketType, attachments int, namespace string, id uint64) []byte {
	b = append(b, '4', '0'+byte(typ))
	if attachments > 0 {
		b = strconv.AppendInt(b, int64(attachments), 10)
		b = append(b, '-')
	}
	if namespace != "/" {
		b = append(b, namespace...)
		b = append(b, ',')
	}
	if id != NoID {
		b = strconv.AppendUint(b, id, 10)
	}
	return b
}

// frames returns the packet as its clients' connections take it.
func (e encoded) frames() *transport.Frames { return transport.NewFrames(e...) }

// data returns the packet as an adapter.Packet carries it. One text is 0 and
// the text. Anything else is the number of frames, and each of them behind
// twice its length, plus one if it is binary (all numbers are uvarints).
func (e encoded) data() []byte {
	size := 1 + binary.MaxVarintLen32
	for _, f := range e {
		size += len(f.Data) + binary.MaxVarintLen32
	}
	if len(e) == 1 && !e[0].Binary {
		return append(append(make([]byte, 0, size), 0), e[0].Data...)
	}
	b := binary.AppendUvarint(make([]byte, 0, size), uint64(len(e)))
	for _, f := range e {
		head := uint64(len(f.Data)) << 1
		if f.Binary {
			head |= 1
		}
		b = binary.AppendUvarint(b, head)
		b = append(b, f.Data...)
	}
	return b
}

// decodeData is the inverse of data. It aliases b, and reports false for what
// data can't have made.
func decodeData(b []byte) (e encoded, ok bool) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)) {
		return nil, false
	}
	b = b[used:]
	if n == 0 {
		return encoded{{Data: b}}, isMessage(b)
	}
	e = make(encoded, 0, n)
	for range n {
		head, used := binary.Uvarint(b)
		if used <= 0 || head>>1 > uint64(len(b)-used) {
			return nil, false
		}
		end := used + int(head>>1)
		f := transport.Frame{Binary: head&1 == 1, Data: b[used:end]}
		if !f.Binary && !isMessage(f.Data) {
			return nil, false
		}
		e, b = append(e, f), b[end:]
	}
	return e, len(b) == 0
}

// isText reports whether data is of one text frame.
func isText(data []byte) bool { return len(data) > 0 && data[0] == 0 }

// isMessage reports whether a text frame is an Engine.IO message.
func isMessage(text []byte) bool { return len(text) > 0 && text[0] == '4' }
