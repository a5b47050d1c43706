package websocket_test

import (
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/transporttest"
	"github.com/carillonhq/carillon/transport/websocket"
)

// status is the payload of a close frame.
func status(code uint16, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, code)) + reason
}

func TestFrames(t *testing.T) {
	s := serve(t, websocket.Options{MaxFrame: 1000})
	long := strings.Repeat("x", 1000)
	for _, test := range []struct {
		name string
		in   string
		want []transport.Frame
	}{
		{"text", masked(fin|opText, "hello"), []transport.Frame{{Data: []byte("hello")}}},
		{"binary", masked(fin|opBin, "\xff\x00"), []transport.Frame{{Binary: true, Data: []byte("\xff\x00")}}},
		{"empty", masked(fin|opText, "") + masked(fin|opBin, ""), []transport.Frame{{}, {Binary: true}}},
		{"as long as may be", masked(fin|opText, long), []transport.Frame{{Data: []byte(long)}}},
		{"fragments", masked(opText, "a") + masked(0, "b") + masked(fin, "c"), []transport.Frame{{Data: []byte("abc")}}},
		{"empty fragments", masked(opBin, "") + masked(0, "") + masked(fin, ""), []transport.Frame{{Binary: true}}},
		{"fragments as long as may be", masked(opText, long[:500]) + masked(fin, long[500:]), []transport.Frame{{Data: []byte(long)}}},
		{"a character across fragments", masked(opText, "\xc3") + masked(fin, "\xa9"), []transport.Frame{{Data: []byte("é")}}},
		{"an unasked pong", masked(fin|opPong, "?") + masked(fin|opText, "a"), []transport.Frame{{Data: []byte("a")}}},
		{"a length not minimal", "\x81\xfe\x00\x01" + mask + string('a'^mask[0]), []transport.Frame{{Data: []byte("a")}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, rec, p := s.connect(t)
			p.send(test.in)
			for _, want := range test.want {
				if got := rec.Next(); got.Binary != want.Binary || string(got.Data) != string(want.Data) {
					t.Errorf("got binary=%t %q, want binary=%t %q", got.Binary, got.Data, want.Binary, want.Data)
				}
			}
			p.send(masked(fin|opClose, status(1000, "")))
			p.wantClose(1000)
			rec.WantClosed(transport.ErrClosed)
		})
	}
}

func TestControlBetweenFragments(t *testing.T) {
	s := serve(t, websocket.Options{})
	_, rec, p := s.connect(t)
	payload := strings.Repeat("p", 125)
	p.send(masked(opText, "a"))
	for _, ping := range []string{"", "x", payload} {
		p.send(masked(fin|opPing, ping))
		p.want(opPong, ping)
	}
	p.send(masked(fin|opPong, "") + masked(fin, "b"))
	if f := rec.Next(); string(f.Data) != "ab" {
		t.Errorf("got %q, want %q", f.Data, "ab")
	}
}

func TestClientEnds(t *testing.T) {
	s := serve(t, websocket.Options{MaxFrame: 1000})
	for _, test := range []struct {
		name   string
		in     string
		status int // of the answer, -1 for no close frame
		want   error
	}{
		{"close", masked(fin|opClose, status(1000, "")), 1000, transport.ErrClosed},
		{"close without status", masked(fin|opClose, ""), 0, transport.ErrClosed},
		{"close with reason", masked(fin|opClose, status(1001, strings.Repeat("é", 61))), 1000, transport.ErrClosed},
		{"close 1011", masked(fin|opClose, status(1011, "")), 1000, transport.ErrClosed},
		{"close 3000", masked(fin|opClose, status(3000, "")), 3000, transport.ErrClosed},
		{"close 4999", masked(fin|opClose, status(4999, "")), 4999, transport.ErrClosed},
		{"close and more", masked(fin|opClose, status(1000, "")) + masked(fin|opPing, "") + masked(fin|opText, "late"), 1000, transport.ErrClosed},

		{"close of one byte", masked(fin|opClose, "\x03"), 1002, transport.ErrProtocol},
		{"close 999", masked(fin|opClose, status(999, "")), 1002, transport.ErrProtocol},
		{"close 1004", masked(fin|opClose, status(1004, "")), 1002, transport.ErrProtocol},
		{"close 1005", masked(fin|opClose, status(1005, "")), 1002, transport.ErrProtocol},
		{"close 1006", masked(fin|opClose, status(1006, "")), 1002, transport.ErrProtocol},
		{"close 1015", masked(fin|opClose, status(1015, "")), 1002, transport.ErrProtocol},
		{"close 1016", masked(fin|opClose, status(1016, "")), 1002, transport.ErrProtocol},
		{"close 2999", masked(fin|opClose, status(2999, "")), 1002, transport.ErrProtocol},
		{"close 5000", masked(fin|opClose, status(5000, "")), 1002, transport.ErrProtocol},
		{"close with a broken reason", masked(fin|opClose, status(1000, "\xff")), 1007, transport.ErrProtocol},

		{"invalid UTF-8", masked(fin|opText, "a\xffb"), 1007, transport.ErrProtocol},
		{"invalid UTF-8 in fragments", masked(opText, "\xc3") + masked(fin, "a"), 1007, transport.ErrProtocol},
		{"a surrogate", masked(fin|opText, "\xed\xa0\x80"), 1007, transport.ErrProtocol},
		{"reserved bit 1", masked(0x40|fin|opText, "a"), 1002, transport.ErrProtocol},
		{"reserved bit 2", masked(0x20|fin|opText, "a"), 1002, transport.ErrProtocol},
		{"reserved bit 3", masked(0x10|fin|opPing, "a"), 1002, transport.ErrProtocol},
		{"opcode 3", masked(fin|3, "a"), 1002, transport.ErrProtocol},
		{"opcode 11", masked(fin|11, "a"), 1002, transport.ErrProtocol},
		{"unmasked", "\x81\x01a", 1002, transport.ErrProtocol},
		{"unmasked ping", "\x89\x00", 1002, transport.ErrProtocol},
		{"fragmented ping", masked(opPing, "a"), 1002, transport.ErrProtocol},
		{"long ping", masked(fin|opPing, strings.Repeat("p", 126)), 1002, transport.ErrProtocol},
		{"continuation of nothing", masked(fin, "a"), 1002, transport.ErrProtocol},
		{"text within fragments", masked(opText, "a") + masked(fin|opText, "b"), 1002, transport.ErrProtocol},

		{"too large", masked(fin|opText, strings.Repeat("x", 1001)), 1009, transport.ErrTooLarge},
		{"too large in fragments", masked(opText, strings.Repeat("x", 600)) + masked(fin, strings.Repeat("x", 600)), 1009, transport.ErrTooLarge},
		{"too large by its header", string(header(fin|opBin, 1<<40)), 1009, transport.ErrTooLarge},
		{"top bit of the length", "\x81\xff\x80" + strings.Repeat("\x00", 11), 1002, transport.ErrProtocol},
		{"all bits of the length", "\x82\xff" + strings.Repeat("\xff", 12), 1002, transport.ErrProtocol},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := s.violations.Load()
			_, rec, p := s.connect(t)
			p.send(test.in)
			p.wantClose(test.status)
			p.Close()
			rec.WantClosed(test.want)
			bad := int64(1)
			if test.want == transport.ErrClosed {
				bad = 0
			}
			if n := s.violations.Load() - before; n != bad {
				t.Errorf("%d violations counted, want %d", n, bad)
			}
		})
	}
}

// A frame that makes the reader panic ends its connection and nothing else.
func TestPanicEndsOneConnection(t *testing.T) {
	s := serve(t, websocket.Options{})
	other, otherRec, otherPeer := s.connect(t)
	_, rec, p := s.connect(t)
	p.send("\x81\xff\x80" + strings.Repeat("\x00", 11))
	p.wantClose(1002)
	rec.WantClosed(transport.ErrProtocol)
	if n := s.panics.Load(); n != 1 {
		t.Errorf("%d panics counted, want 1", n)
	}
	if err := other.Send(transport.Text("alive")); err != nil {
		t.Error(err)
	}
	otherPeer.want(opText, "alive")
	otherPeer.send(masked(fin|opText, "yes"))
	if f := otherRec.Next(); string(f.Data) != "yes" {
		t.Errorf("got %q, want %q", f.Data, "yes")
	}
}

func TestClaimAllocatesLittle(t *testing.T) {
	s := serve(t, websocket.Options{MaxFrame: 10_000})
	const peers = 20
	var recs []*transporttest.Recorder
	var conns []*peer
	for range peers {
		_, rec, p := s.connect(t)
		recs, conns = append(recs, rec), append(conns, p)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i, p := range conns {
		p.send(string(header(fin|opBin, 1<<30)))
		p.wantClose(1009)
		recs[i].WantClosed(transport.ErrTooLarge)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > peers*50_000 {
		t.Errorf("%d headers made us allocate %d bytes", peers, n)
	}
}

func TestStreamEnds(t *testing.T) {
	s := serve(t, websocket.Options{})
	for _, test := range []struct {
		name string
		in   string
		want error
	}{
		{"between frames", masked(fin|opText, "a"), io.EOF},
		{"in a header", "\x81", io.ErrUnexpectedEOF},
		{"in a payload", masked(fin|opText, "abc")[:8], io.ErrUnexpectedEOF},
		{"between fragments", masked(opText, "abc"), io.EOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, rec, p := s.connect(t)
			p.send(test.in)
			p.Close()
			rec.WantClosed(test.want)
			if err := conn.Send(transport.Text("late")); !errors.Is(err, transport.ErrClosed) {
				t.Errorf("Send: %v, want ErrClosed", err)
			}
		})
	}
	if n := s.violations.Load(); n != 0 {
		t.Errorf("%d violations counted, want none", n)
	}
}
