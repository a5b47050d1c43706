package socketio_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/socketio"
)

// FuzzConnection sends a whole session's bytes: behind the handshake of a
// WebSocket anything at all, and by polling any payload, in one POST or in
// several. Whatever they are, nothing panics, each socket that connected is
// disconnected once, and nothing is left running.
func FuzzConnection(f *testing.F) {
	frames := func(texts ...string) (b []byte) {
		for _, text := range texts {
			b = append(b, maskedFrame(opText, []byte(text))...)
		}
		return b
	}
	for _, texts := range [][]string{
		{"40", `42["echo",1]`, "41"},
		{"40/chat,{}", `42/chat,1["echo"]`, "1"},
		{"40", "40"},
		{"40", "2"},
		{"abc"},
		{"40", "42[1"},
		{"40", "43[]", "430[1]"},
		{"40", `451-["echo",{"_placeholder":true,"num":0}]`, "bAQID"},
		{"40", `42["bye"]`, `42["echo"]`},
		{"40", `42["ask"]`, `430["x"]`},
		{"40\x1e42[\"ask\"]\x1e1"},
	} {
		f.Add(frames(texts...), uint8(0))
		f.Add([]byte(strings.Join(texts, "\x1e")), uint8(1))
		f.Add([]byte(strings.Join(texts, "\x1e")), uint8(3))
	}
	f.Add(append(frames("40", `451-["echo",{"_placeholder":true,"num":0}]`), maskedFrame(opBinary, []byte("abc"))...), uint8(0))
	f.Add([]byte{0x81, 0xfe, 0xff}, uint8(0))

	f.Fuzz(func(t *testing.T, in []byte, kind uint8) {
		if len(in) > 1<<16 {
			return
		}
		start := runtime.NumGoroutine()
		var connected, disconnected, opened, closed atomic.Int64
		server := socketio.New(socketio.Options{
			Logger: slog.New(slog.DiscardHandler),
			Engine: engineio.Options{Hooks: engineio.Hooks{
				Opened: func(string) { opened.Add(1) },
				Closed: func(string, engineio.Reason, error) { closed.Add(1) },
			}},
		})
		for _, name := range []string{"/", "/chat"} {
			n := server.Of(name)
			n.OnConnect(func(_ context.Context, s *socketio.Socket) { connected.Add(1) })
			n.OnDisconnect(func(context.Context, *socketio.Socket, socketio.Reason) { disconnected.Add(1) })
			n.Handle("echo", func(_ context.Context, s *socketio.Socket, e *socketio.Event) error {
				s.Emit("echo", anys(e.Args)...)
				return n.Emit("all", anys(e.Args)...)
			})
			n.Handle("bye", func(_ context.Context, s *socketio.Socket, e *socketio.Event) error {
				s.Disconnect(len(e.Args) > 0)
				return nil
			})
			n.Handle("ask", func(ctx context.Context, s *socketio.Socket, e *socketio.Event) error {
				_, err := s.EmitWithAck(ctx, "ask")
				return err
			})
		}
		if kind%2 == 0 {
			fuzzWebSocket(t, server, in)
		} else {
			fuzzPolling(server, in, kind%4 == 3)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if opened.Load() != 1 || closed.Load() != 1 || connected.Load() != disconnected.Load() {
			t.Errorf("%d sessions opened, %d closed; %d sockets connected, %d disconnected", opened.Load(), closed.Load(), connected.Load(), disconnected.Load())
		}
		for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > start; {
			if time.Now().After(deadline) {
				stacks := make([]byte, 1<<16)
				t.Fatalf("goroutines left:\n%s", stacks[:runtime.Stack(stacks, true)])
			}
			<-time.After(time.Millisecond)
		}
	})
}

// fuzzWebSocket writes in behind the handshake and then ends its side.
func fuzzWebSocket(t *testing.T, server http.Handler, in []byte) {
	ours, theirs := net.Pipe()
	l := &oneConn{conn: theirs, closed: make(chan struct{})}
	web := &http.Server{Handler: server}
	served := make(chan struct{})
	go func() { // ends with Close
		defer close(served)
		web.Serve(l)
	}()
	read := make(chan struct{})
	io.WriteString(ours, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	r := bufio.NewReader(ours)
	if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %v (%v)", res, err)
	}
	go func() { // ends with the connection
		defer close(read)
		io.Copy(io.Discard, r)
	}()
	ours.Write(in) // fails where the server has heard enough
	ours.Close()
	<-read
	web.Close()
	<-served
}

// oneConn is a listener that has one connection to give.
type oneConn struct {
	conn   net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if conn := l.conn; conn != nil {
		l.conn = nil
		return conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// fuzzPolling sends in, whole or packet by packet, and polls.
func fuzzPolling(server http.Handler, in []byte, apart bool) {
	request := func(method, query, body string) string {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond) // of a poll that has nothing to wait for
		defer cancel()
		if method == http.MethodPost {
			ctx = context.Background()
		}
		res := httptest.NewRecorder()
		server.ServeHTTP(res, httptest.NewRequestWithContext(ctx, method, "/socket.io/?"+query, strings.NewReader(body)))
		return res.Body.String()
	}
	query := "EIO=4&transport=polling&sid=" + rawID.FindStringSubmatch(request("GET", "EIO=4&transport=polling", ""))[1]
	payloads := []string{string(in)}
	if apart {
		payloads = strings.SplitN(string(in), "\x1e", 16)
	}
	for _, payload := range payloads {
		request("POST", query, payload)
	}
	request("GET", query, "")
}
