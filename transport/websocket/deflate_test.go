package websocket_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/transporttest"
	"github.com/carillonhq/carillon/transport/websocket"
)

// extend does a handshake with an offer, and returns what was agreed to.
func extend(t *testing.T, addr, offer string) (*peer, string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	p := &peer{conn, t, bufio.NewReader(conn)}
	p.send(upgrade + offer + "\r\n")
	return p, p.shake().Header.Get("Sec-WebSocket-Extensions")
}

// The rules of RFC 7692, section 7.1, and of a server that limits nothing.
func TestNegotiation(t *testing.T) {
	const agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	s := serve(t, websocket.Options{Deflate: new(websocket.Deflate)})
	for offer, want := range map[string]string{
		"":                   "",
		"permessage-deflate": agreed,
		"permessage-deflate; client_max_window_bits":                               agreed,
		"permessage-deflate; client_max_window_bits=10":                            agreed,
		"permessage-deflate;client_no_context_takeover;server_no_context_takeover": agreed,
		"permessage-deflate; server_max_window_bits=15":                            agreed,
		"permessage-deflate; server_max_window_bits=10":                            "",
		`permessage-deflate; server_max_window_bits="10"`:                          "",
		"permessage-deflate; server_max_window_bits":                               "",
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":        agreed,
		"permessage-deflate; client_max_window_bits=16":                            "",
		"permessage-deflate; client_max_window_bits=09":                            "",
		"permessage-deflate; client_no_context_takeover=1":                         "",
		"permessage-deflate; client_max_window_bits; client_max_window_bits":       "",
		"permessage-deflate; unknown":                                              "",
		"permessage-deflate;":                                                      "",
		"x-webkit-deflate-frame":                                                   "",
		"x-webkit-deflate-frame, permessage-deflate":                               agreed,
	} {
		header := ""
		if offer != "" {
			header = "Sec-WebSocket-Extensions: " + offer + "\r\n"
		}
		if _, got := extend(t, s.addr, header); got != want {
			t.Errorf("%q is answered %q, want %q", offer, got, want)
		}
		(<-s.conns).Abort()
	}
	two := "Sec-WebSocket-Extensions: x-webkit-deflate-frame\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
	if _, got := extend(t, s.addr, two); got != agreed {
		t.Errorf("two lines are answered %q", got)
	}
	(<-s.conns).Abort()

	off := serve(t, websocket.Options{})
	if _, got := extend(t, off.addr, "Sec-WebSocket-Extensions: permessage-deflate\r\n"); got != "" {
		t.Errorf("agreed to %q where compression is off", got)
	}
	(<-off.conns).Abort()
}

// FuzzOffer: what is agreed to is an offer of the one extension that there is.
func FuzzOffer(f *testing.F) {
	for _, in := range []string{"", "permessage-deflate", "permessage-deflate; client_max_window_bits=10", "x, permessage-deflate;server_max_window_bits=9", ";;=,,="} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if websocket.OffersDeflate([]string{in}) && !strings.Contains(in, "permessage-deflate") {
			t.Errorf("agreed to %q", in)
		}
	})
}

const offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

func deflated(s string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	io.WriteString(w, s)
	w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

func TestDeflate(t *testing.T) {
	s := serve(t, websocket.Options{MaxFrame: 100000, Deflate: new(websocket.Deflate)})
	p, _ := extend(t, s.addr, offer)
	conn, rec := <-s.conns, transporttest.NewRecorder(t)
	conn.Start(rec)
	long := strings.Repeat("hello ", 10000)
	const rsv1 = 0x40
	for _, in := range []string{
		masked(fin|rsv1|opText, deflated(long)),
		masked(fin|opText, long), // need not be compressed
		masked(rsv1|opText, deflated(long)[:20]) + masked(fin|opPing, "?") + masked(fin, deflated(long)[20:]),
	} {
		p.send(in)
		if got := rec.Next(); string(got.Data) != long {
			t.Fatalf("received %d bytes %.20q", len(got.Data), got.Data)
		}
	}
	p.want(opPong, "?")

	// What is sent is one encoding for all, with the small left alone.
	f := transport.Text(long)
	if err := conn.Send(f); err != nil {
		t.Fatal(err)
	}
	if err := conn.Send(transport.Text("short")); err != nil {
		t.Fatal(err)
	}
	want := string(f.Deflated(transport.V4, transport.NewDeflater(1, 1)))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(p.br, got); err != nil || string(got) != want || got[0] != fin|rsv1|opText {
		t.Errorf("received %.20q (%v), want %.20q", got, err, want)
	}
	p.want(opText, "short")
}

// Few bytes that inflate to many end the connection, and so does what is not
// deflate at all; a client that agreed to nothing must not compress.
func TestDeflateHostile(t *testing.T) {
	bomb := deflated(strings.Repeat("\x00", 50<<20))
	for name, test := range map[string]struct {
		frame string
		want  error
	}{
		"bomb":              {masked(fin|0x40|opBin, bomb), transport.ErrTooLarge},
		"bomb in fragments": {masked(0x40|opBin, bomb[:100]) + masked(fin, bomb[100:]), transport.ErrTooLarge},
		"garbage":           {masked(fin|0x40|opText, "\xff\xff\xff\xff"), transport.ErrProtocol},
		"not UTF-8":         {masked(fin|0x40|opText, deflated("\xff\xff")), transport.ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, websocket.Options{MaxFrame: 1 << 20, Deflate: new(websocket.Deflate)})
			p, _ := extend(t, s.addr, offer)
			conn, rec := <-s.conns, transporttest.NewRecorder(t)
			conn.Start(rec)
			p.send(test.frame)
			rec.WantClosed(test.want)
			if s.violations.Load() != 1 {
				t.Errorf("%d violations", s.violations.Load())
			}
		})
	}
	s := serve(t, websocket.Options{Deflate: new(websocket.Deflate)})
	_, rec, p := s.connect(t)
	p.send(masked(fin|0x40|opText, deflated("x")))
	rec.WantClosed(transport.ErrProtocol)
	p.wantClose(1002)
}

// Another make of client, with a context of its own for what it sends.
func TestDeflateInterop(t *testing.T) {
	for _, mode := range []coder.CompressionMode{coder.CompressionNoContextTakeover, coder.CompressionContextTakeover} {
		s := serve(t, websocket.Options{Deflate: &websocket.Deflate{Threshold: 10}})
		c, res, err := coder.Dial(t.Context(), "ws://"+s.addr, &coder.DialOptions{CompressionMode: mode, CompressionThreshold: 10})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		if !strings.HasPrefix(res.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate") {
			t.Fatalf("mode %v: no agreement", mode)
		}
		conn, rec := <-s.conns, transporttest.NewRecorder(t)
		conn.Start(rec)
		for i := range 20 {
			text := strings.Repeat(fmt.Sprint(i, " "), 1+50*i)
			if err := c.Write(t.Context(), coder.MessageText, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if got := rec.Next(); string(got.Data) != text {
				t.Fatalf("mode %v: received %.50q", mode, got.Data)
			}
			if err := conn.Send(transport.Text(text)); err != nil {
				t.Fatal(err)
			}
			if _, got, err := c.Read(t.Context()); err != nil || string(got) != text {
				t.Fatalf("mode %v: %.50q came back (%v)", mode, got, err)
			}
		}
	}
}

func TestDialects(t *testing.T) {
	s := serve(t, websocket.Options{})
	for _, test := range []struct {
		dialect transport.Dialect
		op      byte
		binary  string
	}{
		{transport.V3, opBin, "\x04\x01\x02"},
		{transport.V3Text, opText, "b4AQI="},
		{transport.V4Text, opText, "bAQI="},
	} {
		p := dial(t, s.addr, "")
		conn, rec := <-s.conns, transporttest.NewRecorder(t)
		conn.Speak(test.dialect)
		conn.Start(rec)
		p.send(masked(fin|test.op, test.binary) + masked(fin|opText, "4x"))
		if got := rec.Next(); !got.Binary || string(got.Data) != "\x01\x02" {
			t.Errorf("dialect %d: received %t %q", test.dialect, got.Binary, got.Data)
		}
		if got := rec.Next(); got.Binary || string(got.Data) != "4x" {
			t.Errorf("dialect %d: received %t %q", test.dialect, got.Binary, got.Data)
		}
		if err := conn.Send(transport.NewFrames(transport.Frame{Binary: true, Data: []byte{1, 2}})); err != nil {
			t.Fatal(err)
		}
		p.want(test.op, test.binary)
		p.send(masked(fin|opText, "b!"))
		rec.WantClosed(transport.ErrEncoding)
		p.wantClose(1008)
	}
	if got := s.violations.Load(); got != 3 {
		t.Errorf("%d violations", got)
	}
}
