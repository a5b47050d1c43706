package bench

import (
	"encoding/binary"
	"strings"
	"testing"
)

// serverFrame is a frame as servers send them.
func serverFrame(op byte, payload string) []byte {
	b := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

// A frame is taken when all of it is there, and not before.
func TestCutFrame(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		want := strings.Repeat("x", n)
		frame := serverFrame(opText, want)
		for _, short := range []int{0, 1, 2, 3, len(frame) - 1} {
			if short >= len(frame) {
				continue
			}
			if _, _, size, err := cutFrame(frame[:short]); size != 0 || err != nil {
				t.Errorf("%d of %d bytes: got size %d, %v", short, len(frame), size, err)
			}
		}
		op, payload, size, err := cutFrame(append(frame, "next"...))
		if op != opText || string(payload) != want || size != len(frame) || err != nil {
			t.Errorf("%d bytes: got %d, %d bytes, size %d, %v", n, op, len(payload), size, err)
		}
	}
}

func TestCutFrameRefuses(t *testing.T) {
	for what, frame := range map[string][]byte{
		"fragment":     {0x01, 1, 'x'},
		"continuation": {0x80, 1, 'x'},
		"compressed":   {0xc1, 1, 'x'},
		"masked":       {0x81, 0x81, 0, 0, 0, 0, 'x'},
		"huge":         {0x81, 127, 0xff, 0, 0, 0, 0, 0, 0, 0},
	} {
		if _, _, _, err := cutFrame(frame); err == nil {
			t.Errorf("%s: got no error", what)
		}
	}
}

// What comes in pieces is heard as if it had come whole.
func TestFeedInPieces(t *testing.T) {
	stream := append(serverFrame(opText, `42["room:message",1]`), serverFrame(opText, `42["room:message",2]`)...)
	for size := 1; size <= len(stream); size++ {
		heard := &recorder{}
		c := &conn{hears: heard}
		for rest := stream; len(rest) > 0; {
			n := min(size, len(rest))
			if err := c.feed(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if got := strings.Join(heard.events, " "); got != `["room:message",1] ["room:message",2]` {
			t.Errorf("in pieces of %d: got %s", size, got)
		}
		if c.rest != nil {
			t.Errorf("in pieces of %d: %d bytes are kept", size, len(c.rest))
		}
	}
}

type recorder struct{ events []string }

func (r *recorder) event(_ *conn, packet []byte, _ int64) {
	r.events = append(r.events, string(packet))
}
func (r *recorder) ack(*conn, []byte, int64) {}
func (r *recorder) clock() int64             { return 0 }
