package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// WebSocket's opcodes (RFC 6455, section 5.2).
const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// appendFrame appends a client's frame. Its masking key is zero, which leaves
// the payload as it is: a frame can be made once and changed in place, and
// masking hides nothing from who is being measured.
func appendFrame(b []byte, op byte, payload []byte) []byte {
	b = append(b, 0x80|op)
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, 0, 0, 0, 0)
	return append(b, payload...)
}

func textFrame(text string) []byte { return appendFrame(nil, opText, []byte(text)) }

var errFragment = errors.New("a fragmented frame, which the benchmark does not read")

// maxFrame bounds what a server may send at once.
const maxFrame = 16 << 20

// cutFrame takes a server's frame off b. size is 0 if b holds no whole one.
func cutFrame(b []byte) (op byte, payload []byte, size int, err error) {
	if len(b) < 2 {
		return 0, nil, 0, nil
	}
	if b[0]&0xf0 != 0x80 || b[0]&15 == 0 {
		return 0, nil, 0, errFragment
	}
	if b[1]&0x80 != 0 {
		return 0, nil, 0, errors.New("a masked frame of the server's")
	}
	head, n := 2, uint64(b[1])
	switch n {
	case 126:
		if head = 4; len(b) < head {
			return 0, nil, 0, nil
		}
		n = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if head = 10; len(b) < head {
			return 0, nil, 0, nil
		}
		n = binary.BigEndian.Uint64(b[2:])
	}
	if n > maxFrame {
		return 0, nil, 0, fmt.Errorf("a frame of %d bytes", n)
	}
	if size = head + int(n); len(b) < size {
		return 0, nil, 0, nil
	}
	return b[0] & 15, b[head:size], size, nil
}
