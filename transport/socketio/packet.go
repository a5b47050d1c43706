package socketio

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// jsonParser is the default Parser, as socket.io-parser is Node's.
type jsonParser struct {
	maxAttachments int // of one packet of a client
}

var _ Parser = jsonParser{}

// The types of an event and an acknowledgement with attachments.
const (
	typeBinaryEvent = TypeConnectError + 1 + iota
	typeBinaryAck
)

// NewDecoder implements Parser.
func (p jsonParser) NewDecoder() Decoder { return &jsonDecoder{maxAttachments: p.maxAttachments} }

type jsonDecoder struct {
	maxAttachments int
	packet         Packet
	missing        int      // attachments of packet, to come
	attachments    [][]byte // of packet, that came
}

// Decode implements Decoder.
func (d *jsonDecoder) Decode(binary bool, data []byte) (*Packet, error) {
	switch {
	case binary && d.missing == 0:
		return nil, fmt.Errorf("%w: attachment of no packet", errPacket)
	case binary:
		d.attachments = append(d.attachments, data)
		if d.missing--; d.missing > 0 {
			return nil, nil
		}
	case d.missing > 0:
		return nil, fmt.Errorf("%w: text between attachments", errPacket)
	default:
		p, err := decodePacket(data, d.maxAttachments)
		if err != nil {
			return nil, err
		}
		d.packet = Packet{Type: p.typ, Namespace: p.namespace, ID: p.id, Args: p.args()}
		if p.attachments == 0 {
			return &d.packet, nil
		}
		d.packet.Type -= typeBinaryEvent - TypeEvent
		d.missing = p.attachments
		return nil, nil
	}
	attachments := d.attachments
	d.attachments = nil
	return &d.packet, attach(d.packet.Args, attachments)
}

// packet is a packet's text taken apart, but for its payload.
type packet struct {
	typ         PacketType
	namespace   string
	id          uint64
	attachments int    // binary frames that follow
	payload     []byte // valid JSON, or empty
}

// decodePacket reads a packet's text and checks its payload as section
// "Packet encoding" of the Socket.IO protocol v5 and socket.io-parser do. The
// payload aliases text.
func decodePacket(text []byte, maxAttachments int) (packet, error) {
	p := packet{namespace: "/", id: NoID}
	if len(text) == 0 || text[0] < '0' || text[0] > '6' {
		return p, fmt.Errorf("%w: unknown type", errPacket)
	}
	p.typ = PacketType(text[0] - '0')
	rest := text[1:]

	if p.typ == typeBinaryEvent || p.typ == typeBinaryAck {
		digits, after, ok := bytes.Cut(rest, []byte{'-'})
		n, err := decimal(digits, maxAttachments)
		if !ok || err != nil || n == 0 {
			return p, fmt.Errorf("%w: illegal attachments", errPacket)
		}
		p.attachments, rest = int(n), after
	}
	if len(rest) > 0 && rest[0] == '/' {
		name, after, _ := bytes.Cut(rest, []byte{','})
		p.namespace, rest = string(name), after
	}
	i := 0
	for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' {
		i++
	}
	if i > 0 {
		id, err := decimal(rest[:i], maxID)
		if err != nil {
			return p, fmt.Errorf("%w: ack id out of range", errPacket)
		}
		p.id, rest = id, rest[i:]
	}
	p.payload = bytes.Trim(rest, " \t\r\n") // JSON's white space, and no other
	if len(rest) > 0 && !json.Valid(p.payload) {
		return p, fmt.Errorf("%w: payload is not JSON", errPacket)
	}
	return p, p.check()
}

// decimal parses digits, up to limit.
func decimal(digits []byte, limit int) (uint64, error) {
	if len(digits) > 16 {
		return 0, strconv.ErrRange
	}
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if err == nil && n > uint64(limit) {
		err = strconv.ErrRange
	}
	return n, err
}

// args returns the values of the payload.
func (p *packet) args() []Raw {
	switch p.typ {
	case TypeConnect, TypeDisconnect, TypeConnectError:
		if len(p.payload) == 0 {
			return nil
		}
		return []Raw{{data: p.payload}}
	}
	return splitArray(p.payload)
}

// check holds the payload's kind against the packet's type.
func (p *packet) check() error {
	var first byte
	if len(p.payload) > 0 {
		first = p.payload[0]
	}
	ok := false
	switch p.typ {
	case TypeConnect:
		ok = first == 0 || first == '{'
	case TypeDisconnect:
		ok = first == 0
	case TypeEvent, typeBinaryEvent, TypeAck, typeBinaryAck:
		// Node's parser lets an event or ack without any payload pass.
		ok = first == 0 || first == '['
	case TypeConnectError:
		ok = first == 0 || first == '"' || first == '{'
	}
	if !ok {
		return fmt.Errorf("%w: wrong kind of payload for type %d", errPacket, p.typ)
	}
	return nil
}

// reserved are the event names that no packet may carry (socket.io-parser).
var reserved = map[string]bool{
	"connect": true, "connect_error": true,
	"disconnect": true, "disconnecting": true,
	"newListener": true, "removeListener": true,
}
