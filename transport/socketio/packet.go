package socketio

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// packetType is the first digit of a packet (Socket.IO protocol v5).
type packetType byte

const (
	typeConnect packetType = iota
	typeDisconnect
	typeEvent
	typeAck
	typeConnectError
	typeBinaryEvent
	typeBinaryAck
)

// noID is the ack id of a packet that has none.
const noID = math.MaxUint64

// maxID is the greatest ack id accepted: JavaScript's greatest safe integer.
const maxID = 1<<53 - 1

// packet is a decoded packet, but for the values in its payload.
type packet struct {
	typ         packetType
	namespace   string
	id          uint64
	attachments int    // binary frames that follow
	payload     []byte // valid JSON, or empty
}

// decodePacket reads a packet's text and checks its payload as section
// "Packet encoding" of the Socket.IO protocol v5 and socket.io-parser do. The
// payload aliases text.
func decodePacket(text []byte, maxAttachments int) (packet, error) {
	p := packet{namespace: "/", id: noID}
	if len(text) == 0 || text[0] < '0' || text[0] > '6' {
		return p, fmt.Errorf("%w: unknown type", errPacket)
	}
	p.typ = packetType(text[0] - '0')
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
	p.payload = bytes.TrimSpace(rest)
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

// check holds the payload's kind against the packet's type.
func (p *packet) check() error {
	var first byte
	if len(p.payload) > 0 {
		first = p.payload[0]
	}
	ok := false
	switch p.typ {
	case typeConnect:
		ok = first == 0 || first == '{'
	case typeDisconnect:
		ok = first == 0
	case typeEvent, typeBinaryEvent, typeAck, typeBinaryAck:
		// Node's parser lets an event or ack without any payload pass.
		ok = first == 0 || first == '['
	case typeConnectError:
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

// appendHeader appends all of a packet's text that precedes its payload,
// behind the digit of an Engine.IO message.
func appendHeader(b []byte, typ packetType, attachments int, namespace string, id uint64) []byte {
	b = append(b, '4', '0'+byte(typ))
	if attachments > 0 {
		b = strconv.AppendInt(b, int64(attachments), 10)
		b = append(b, '-')
	}
	if namespace != "/" {
		b = append(b, namespace...)
		b = append(b, ',')
	}
	if id != noID {
		b = strconv.AppendUint(b, id, 10)
	}
	return b
}
