package socketio

import (
	"fmt"

	"github.com/carillonhq/carillon/transport"
)

// MessagePack returns the Parser for clients that use socket.io-msgpack-parser,
// or the bundle socket.io.msgpack.min.js: a packet is one binary frame, the
// MessagePack of {type, nsp, data, id}. Binary needs no attachments then and
// may stand anywhere.
//
// Values are as with the default Parser: a time.Time travels as text, which is
// what clients of both make of it. A client's Date is a time.Time to Decode,
// and a Raw that is passed on keeps it.
func MessagePack() Parser { return msgpackParser{} }

type msgpackParser struct{}

// NewDecoder implements Parser.
func (msgpackParser) NewDecoder() Decoder { return new(msgpackDecoder) }

// Encode implements Parser.
func (msgpackParser) Encode(p *Packet) ([]transport.Frame, error) {
	size := len(p.Namespace) + 48
	for _, r := range p.Args {
		size += len(r.data) + 5
		for _, a := range r.attachments {
			size += len(a) + 5
		}
	}
	list := p.Type == TypeEvent || p.Type == TypeAck
	fields := 2
	if p.ID != NoID {
		fields++
	}
	if list || len(p.Args) > 0 {
		fields++
	}
	b := append(make([]byte, 0, size), 0x80|byte(fields))
	b = append(appendStr(b, "type"), byte(p.Type))
	if list || len(p.Args) > 0 {
		b = appendStr(b, "data")
	}
	if list {
		b = appendCount(b, 0x90, 0xdc, len(p.Args))
	}
	for _, r := range p.Args {
		var err error
		if b, err = appendPacked(b, r); err != nil {
			return nil, err
		}
	}
	b = appendStr(appendStr(b, "nsp"), p.Namespace)
	if p.ID != NoID {
		b = appendInt(appendStr(b, "id"), int64(p.ID))
	}
	return []transport.Frame{{Binary: true, Data: b}}, nil
}

// appendPacked appends r as MessagePack: without looking into it if it is.
func appendPacked(b []byte, r Raw) ([]byte, error) {
	if form, value := r.Form(); form == (msgpackForm{}) {
		return append(b, value...), nil
	}
	if data, ok := r.binary(); ok {
		return appendBin(b, data), nil
	}
	text, err := r.inline()
	if err != nil {
		return nil, err
	}
	return packJSON(b, text)
}

type msgpackDecoder struct{ packet Packet }

// Decode implements Decoder. What it checks is what socket.io-msgpack-parser
// does, except that nil is as good as nothing.
func (d *msgpackDecoder) Decode(binary bool, frame []byte) (*Packet, error) {
	if !binary {
		return nil, fmt.Errorf("%w: text", errPacket)
	}
	utf, err := checkMsgpack(frame)
	if err != nil {
		return nil, err
	}
	t, rest, _ := readToken(frame)
	if t.kind != kindMap {
		return nil, fmt.Errorf("%w: not a map", errPacket)
	}
	d.packet = Packet{ID: NoID}
	var data []byte
	var typ, nsp bool
	for range t.n {
		var key token
		key, rest, _ = readToken(rest)
		field := rest
		rest = skipValue(rest)
		field = field[:len(field)-len(rest)]
		value, _, _ := readToken(field)
		switch {
		case key.kind != kindStr:
		case string(key.data) == "type":
			typ = value.kind == kindInt && value.int() >= 0 && value.int() <= int64(TypeConnectError)
			d.packet.Type = PacketType(value.bits)
		case string(key.data) == "nsp":
			nsp = value.kind == kindStr
			d.packet.Namespace = string(value.data)
		case string(key.data) == "id" && !value.absent():
			if value.kind != kindInt || value.int() < 0 || value.int() > maxID {
				return nil, fmt.Errorf("%w: ack id out of range", errPacket)
			}
			d.packet.ID = uint64(value.int())
		case string(key.data) == "data":
			data = field
		}
	}
	switch {
	case !typ:
		return nil, fmt.Errorf("%w: unknown type", errPacket)
	case !nsp:
		return nil, fmt.Errorf("%w: no namespace", errPacket)
	}
	if !utf { // half of a surrogate pair, say: what other clients can't read
		d.packet.Namespace = string(validUTF8([]byte(d.packet.Namespace)))
		if data, err = repack(data); err != nil {
			return nil, err
		}
	}
	return d.payload(data)
}

// payload holds the payload's kind against the packet's type, and splits it.
func (d *msgpackDecoder) payload(data []byte) (*Packet, error) {
	t := token{kind: kindNil}
	rest := data
	if len(data) > 0 {
		t, rest, _ = readToken(data)
	}
	ok := false
	switch d.packet.Type {
	case TypeConnect:
		ok = t.kind == kindMap || t.absent()
	case TypeDisconnect:
		ok = t.absent()
	case TypeEvent, TypeAck:
		ok = t.kind == kindArray
	case TypeConnectError:
		ok = t.kind == kindMap || t.kind == kindStr
	}
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: wrong kind of payload for type %d", errPacket, d.packet.Type)
	case t.kind == kindArray:
		d.packet.Args = make([]Raw, 0, min(t.n, len(rest)))
		for range t.n {
			value := rest
			rest = skipValue(rest)
			d.packet.Args = append(d.packet.Args, packed(value[:len(value)-len(rest)]))
		}
	case !t.absent():
		d.packet.Args = []Raw{packed(data)}
	}
	return &d.packet, nil
}

// packed returns a Raw of a value. What is binary and nothing else is at hand
// without a detour by JSON.
func packed(value []byte) Raw {
	switch t, _, _ := readToken(value); {
	case t.kind == kindBin:
		return rawBinary(t.data)
	case t.absent():
		return Raw{}
	}
	return Raw{data: value, form: msgpackForm{}}
}

// repack makes valid UTF-8 of all strings in a value.
func repack(value []byte) ([]byte, error) {
	if len(value) == 0 {
		return nil, nil
	}
	text, err := msgpackForm{}.AppendJSON(nil, value)
	if err != nil {
		return nil, err
	}
	return packJSON(nil, text)
}
