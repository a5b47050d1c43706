package socketio

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/carillonhq/carillon/transport"
)

// encoded is a packet as it goes to a client: text, then binary frames. The
// text begins with the 4 of an Engine.IO message.
type encoded struct {
	text        []byte
	attachments [][]byte
}

// encodeEvent encodes an event; id is noID where no acknowledgement is wanted.
func encodeEvent(namespace string, id uint64, event string, args []any) (encoded, error) {
	if reserved[event] {
		return encoded{}, fmt.Errorf("emit %q: %w", event, ErrReserved)
	}
	name, err := json.Marshal(event)
	if err != nil {
		return encoded{}, fmt.Errorf("emit %q: %w", event, err)
	}
	e, err := encodeArray(typeEvent, namespace, id, name, args)
	if err != nil {
		return encoded{}, fmt.Errorf("emit %q: %w", event, err)
	}
	return e, nil
}

// encodeArray encodes an event or acknowledgement, whose payload is an array
// of first, if there is one, and args.
func encodeArray(typ packetType, namespace string, id uint64, first []byte, args []any) (encoded, error) {
	payload := make([]byte, 0, 256)
	payload = append(payload, '[')
	payload = append(payload, first...)
	var attachments [][]byte
	for i, arg := range args {
		if i > 0 || first != nil {
			payload = append(payload, ',')
		}
		var err error
		if payload, attachments, err = appendArg(payload, attachments, arg); err != nil {
			return encoded{}, fmt.Errorf("argument %d: %w", i+1, err)
		}
	}
	payload = append(payload, ']')
	if len(attachments) > 0 {
		typ += typeBinaryEvent - typeEvent
	}
	text := make([]byte, 0, len(payload)+len(namespace)+32)
	text = appendHeader(text, typ, len(attachments), namespace, id)
	return encoded{append(text, payload...), attachments}, nil
}

func appendArg(b []byte, attachments [][]byte, arg any) ([]byte, [][]byte, error) {
	switch arg := arg.(type) {
	case []byte:
		return appendPlaceholder(b, len(attachments)), append(attachments, arg), nil
	case Binary:
		return appendPlaceholder(b, len(attachments)), append(attachments, arg), nil
	case Raw:
		if arg.attachments != nil {
			b = append(b, replacePlaceholders(arg.json, func(b []byte, num int) []byte {
				b = appendPlaceholder(b, len(attachments))
				attachments = append(attachments, arg.attachments[num])
				return b
			})...)
			return b, attachments, nil
		}
		b, attachments = extractInline(b, arg.inline(), attachments)
		return b, attachments, nil
	}
	text, err := json.Marshal(arg)
	if err != nil {
		return b, attachments, err
	}
	b, attachments = extractInline(b, text, attachments)
	return b, attachments, nil
}

// encodeObject encodes a packet whose payload is one value or, for nil, none.
func encodeObject(typ packetType, namespace string, payload any) encoded {
	text := appendHeader(nil, typ, 0, namespace, noID)
	if payload != nil {
		b, err := json.Marshal(payload)
		if err != nil { // of data in an application's Error
			b = []byte(`{"message":"internal error"}`)
		}
		text = append(text, b...)
	}
	return encoded{text: text}
}

// frames returns the packet as its clients' connections take it.
func (e encoded) frames() *transport.Frames {
	if len(e.attachments) == 0 {
		return transport.NewFrames(transport.Frame{Data: e.text})
	}
	parts := make([]transport.Frame, 0, 1+len(e.attachments))
	parts = append(parts, transport.Frame{Data: e.text})
	for _, a := range e.attachments {
		parts = append(parts, transport.Frame{Binary: true, Data: a})
	}
	return transport.NewFrames(parts...)
}

// data returns the packet as an adapter.Packet carries it: the number of
// attachments, then the text; with attachments the text and each of them
// follow their length (all numbers are uvarints).
func (e encoded) data() []byte {
	if len(e.attachments) == 0 {
		return append([]byte{0}, e.text...)
	}
	b := binary.AppendUvarint(nil, uint64(len(e.attachments)))
	b = binary.AppendUvarint(b, uint64(len(e.text)))
	b = append(b, e.text...)
	for _, a := range e.attachments {
		b = binary.AppendUvarint(b, uint64(len(a)))
		b = append(b, a...)
	}
	return b
}

// decodeData is the inverse of data. It aliases b, and reports false for what
// data can't have made.
func decodeData(b []byte) (e encoded, ok bool) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)) {
		return e, false
	}
	b = b[used:]
	if n == 0 {
		e.text = b
		return e, bytes.HasPrefix(b, []byte{'4'})
	}
	take := func() (part []byte) {
		size, used := binary.Uvarint(b)
		if used <= 0 || size > uint64(len(b)-used) {
			ok = false
			return nil
		}
		part, b = b[used:used+int(size)], b[used+int(size):]
		return part
	}
	ok = true
	e.text = take()
	e.attachments = make([][]byte, 0, n)
	for range n {
		if e.attachments = append(e.attachments, take()); !ok {
			return encoded{}, false
		}
	}
	return e, len(b) == 0 && bytes.HasPrefix(e.text, []byte{'4'})
}

// sharedFrames is what adapter.Packet.Shared makes of its data: nil if it is
// malformed.
func sharedFrames(data []byte) any {
	e, ok := decodeData(data)
	if !ok {
		return nil
	}
	return e.frames()
}
