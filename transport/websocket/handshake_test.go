package websocket_test

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/transporttest"
	"github.com/carillonhq/carillon/transport/websocket"
)

func request(t *testing.T, raw string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A request that is no upgrade is left to its handler, untouched.
func TestHandshakeRefused(t *testing.T) {
	a := websocket.New(websocket.Options{})
	defer a.Close()
	for _, test := range []struct {
		name, old, new string
		status         int
	}{
		{"method", "GET", "POST", 405},
		{"HTTP/1.0", "HTTP/1.1", "HTTP/1.0", 426},
		{"no Connection", "Connection: keep-alive, Upgrade\r\n", "", 426},
		{"Connection without Upgrade", "keep-alive, Upgrade", "keep-alive", 426},
		{"no Upgrade", "Upgrade: websocket\r\n", "", 426},
		{"another Upgrade", "Upgrade: websocket", "Upgrade: h2c", 426},
		{"no version", "Sec-WebSocket-Version: 13\r\n", "", 426},
		{"another version", "Version: 13", "Version: 8", 426},
		{"no key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400},
		{"two keys", "\r\nSec-WebSocket-Key", "\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Key", 400},
		{"a key that is not base64", "dGhl", "****", 400},
		{"a short key", "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==", 400},
		{"cannot be hijacked", "", "", 500},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			_, err := a.Accept(w, request(t, strings.Replace(upgrade, test.old, test.new, 1)+"\r\n"))
			refused, ok := errors.AsType[*websocket.HandshakeError](err)
			if !ok || refused.Status != test.status {
				t.Errorf("Accept: %v, want a HandshakeError with status %d", err, test.status)
			}
			if len(w.Result().Header) > 0 || w.Body.Len() > 0 || w.Flushed {
				t.Error("something was written")
			}
		})
	}
}

func TestAcceptAfterClose(t *testing.T) {
	a := websocket.New(websocket.Options{})
	a.Close()
	_, err := a.Accept(httptest.NewRecorder(), request(t, upgrade+"\r\n"))
	refused, ok := errors.AsType[*websocket.HandshakeError](err)
	if !ok || refused.Status != http.StatusServiceUnavailable || !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Accept: %v, want ErrClosed in a HandshakeError with status 503", err)
	}
}

// wrapped is what middleware makes of a ResponseWriter.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestHandshakeAnswer(t *testing.T) {
	a := websocket.New(websocket.Options{})
	defer a.Close()
	conns := make(chan *websocket.Conn, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Set-Cookie", "a=1")
		h.Add("Set-Cookie", "b=2")
		h.Set("Access-Control-Allow-Origin", "https://example.org")
		h.Set("X-Split", "a\r\nX-Injected: b")
		h.Set("Connection", "close")
		h.Set("Content-Length", "5")
		h.Set("Sec-Websocket-Accept", "wrong")
		h.Set("Sec-Websocket-Protocol", "ours")
		c, err := a.Accept(wrapped{w}, r)
		if err != nil {
			t.Errorf("Accept: %v", err)
			return
		}
		_ = c.Send(transport.Text("first")) // a frame sent before Start
		conns <- c
	}))
	defer srv.Close()

	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p := &peer{conn, t, bufio.NewReader(conn)}
	p.send(strings.Replace(upgrade, "keep-alive, Upgrade", "keep-alive\r\nConnection: upgrade", 1) +
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nSec-WebSocket-Protocol: chat\r\n\r\n")
	h := p.shake().Header
	for key, want := range map[string][]string{
		"Set-Cookie":                  {"a=1", "b=2"},
		"Access-Control-Allow-Origin": {"https://example.org"},
		"Connection":                  {"Upgrade"},
		"Upgrade":                     {"websocket"},
		"Sec-Websocket-Accept":        {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}, // RFC 6455, section 1.3
		"Sec-Websocket-Protocol":      {"chat"},                         // the client's, not the caller's
		"Sec-Websocket-Extensions":    nil,
		"Content-Length":              nil,
		"X-Injected":                  nil,
	} {
		if got := h[key]; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	p.want(opText, "first")
	rec := transporttest.NewRecorder(t)
	c := <-conns
	if c.RemoteAddr().String() != conn.LocalAddr().String() {
		t.Errorf("RemoteAddr() = %v, want %v", c.RemoteAddr(), conn.LocalAddr())
	}
	c.Start(rec)
	c.Abort()
	rec.WantClosed(nil)
}

// A client need not wait for the answer to its handshake.
func TestEarlyFrames(t *testing.T) {
	s := serve(t, websocket.Options{})
	big := strings.Repeat("b", 10_000) // more than net/http reads ahead
	p := dial(t, s.addr, masked(fin|opText, "a")+masked(fin|opBin, big)+masked(fin|opPing, "c"))
	rec := transporttest.NewRecorder(t)
	(<-s.conns).Start(rec)
	if f := rec.Next(); f.Binary || string(f.Data) != "a" {
		t.Errorf("got %q, want %q", f.Data, "a")
	}
	if f := rec.Next(); !f.Binary || string(f.Data) != big {
		t.Errorf("got %d bytes, want %d", len(f.Data), len(big))
	}
	p.want(opPong, "c")
}
