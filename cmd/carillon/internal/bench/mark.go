package bench

import (
	"bytes"
	"strconv"
)

// A mark stands in what is sent and tells it when it arrives: which of the
// messages under way it is, and when it was meant to be sent. Servers pass it
// on without a change, whether it is in data or in the name of a user.
type mark struct {
	slot int
	at   int64 // nanoseconds since the run began
}

const (
	markHead  = "cbm"
	slotLen   = 5  // hexadecimal digits
	stampLen  = 14 // hexadecimal digits, enough for two years
	markLen   = len(markHead) + slotLen + stampLen
	maxSlots  = 1<<(4*slotLen) - 1
	hexDigits = "0123456789abcdef"
)

func (m mark) put(b []byte) {
	copy(b, markHead)
	putHex(b[len(markHead):][:slotLen], uint64(m.slot))
	putHex(b[len(markHead)+slotLen:][:stampLen], uint64(m.at))
}

func (m mark) String() string {
	b := make([]byte, markLen)
	m.put(b)
	return string(b)
}

func putHex(b []byte, v uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = hexDigits[v&15]
		v >>= 4
	}
}

var markPrefix = []byte(markHead)

// findMark returns the first mark in b.
func findMark(b []byte) (m mark, ok bool) {
	for {
		i := bytes.Index(b, markPrefix)
		if i < 0 || len(b)-i < markLen {
			return m, false
		}
		slot, ok1 := parseHex(b[i+len(markHead):][:slotLen])
		at, ok2 := parseHex(b[i+len(markHead)+slotLen:][:stampLen])
		if ok1 && ok2 {
			return mark{int(slot), int64(at)}, true
		}
		b = b[i+len(markHead):]
	}
}

func parseHex(b []byte) (v uint64, ok bool) {
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

// ackID returns the number at the beginning of b, behind the type of an ACK
// packet.
func ackID(b []byte) (int, bool) {
	end := bytes.IndexByte(b, '[')
	if end < 1 {
		return 0, false
	}
	n, err := strconv.Atoi(string(b[:end]))
	return n, err == nil
}
