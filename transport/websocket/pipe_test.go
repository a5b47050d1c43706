package websocket_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/transporttest"
	"github.com/carillonhq/carillon/transport/websocket"
)

// A pipeWriter is a ResponseWriter over one end of a net.Pipe.
type pipeWriter struct {
	http.ResponseWriter
	conn  net.Conn
	early string
}

func (w pipeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	br := bufio.NewReader(io.MultiReader(strings.NewReader(w.early), w.conn))
	if w.early != "" {
		_, _ = br.Peek(1)
	}
	return w.conn, bufio.NewReadWriter(br, bufio.NewWriter(w.conn)), nil
}

// pipe connects a peer to a without a network.
func pipe(t testing.TB, a *websocket.Acceptor, early string, r transport.Receiver) (*websocket.Conn, *peer) {
	t.Helper()
	far, near := net.Pipe()
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(upgrade + "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Accept(pipeWriter{httptest.NewRecorder(), near, early}, req)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{far, t, bufio.NewReader(far)}
	p.shake()
	c.Start(r)
	return c, p
}

// bubble runs f with an Acceptor of default options, in fake time.
func bubble(t *testing.T, f func(t *testing.T, a *websocket.Acceptor, n *counts)) {
	synctest.Test(t, func(t *testing.T) {
		n := new(counts)
		a := websocket.New(websocket.Options{Hooks: n.hooks()})
		f(t, a, n)
		a.Close()
	})
}

// took fails t unless want has passed since start.
func took(t *testing.T, start time.Time, want time.Duration) {
	t.Helper()
	if d := time.Since(start); d != want {
		t.Errorf("it took %v, want %v", d, want)
	}
}

func TestWriteTimeoutIsTenSeconds(t *testing.T) {
	bubble(t, func(t *testing.T, a *websocket.Acceptor, n *counts) {
		rec := transporttest.NewRecorder(t)
		conn, _ := pipe(t, a, "", rec)
		start := time.Now()
		if err := conn.Send(transport.Text("a")); err != nil {
			t.Fatal(err)
		}
		rec.WantClosed(transport.ErrSlow)
		took(t, start, 10*time.Second)
		if n.slow.Load() != 1 {
			t.Errorf("%d slow clients counted, want 1", n.slow.Load())
		}
	})
}

// The deadline is one for progress: a large frame may take much longer.
func TestWriteTimeoutStartsAgain(t *testing.T) {
	bubble(t, func(t *testing.T, a *websocket.Acceptor, _ *counts) {
		rec := transporttest.NewRecorder(t)
		conn, p := pipe(t, a, "", rec)
		f := transport.NewFrames(transport.Frame{Binary: true, Data: bytes.Repeat([]byte("x"), 1<<20)})
		if err := conn.Send(f); err != nil {
			t.Fatal(err)
		}
		var got []byte
		buf := make([]byte, 64<<10)
		for len(got) < len(f.WebSocket()) {
			time.Sleep(9 * time.Second)
			k, err := io.ReadFull(p.Conn, buf[:min(len(buf), len(f.WebSocket())-len(got))])
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, buf[:k]...)
		}
		if !bytes.Equal(got, f.WebSocket()) {
			t.Error("the frame was garbled")
		}
		conn.Abort()
		rec.WantClosed(nil)
	})
}

// A close is bounded though the client reads and never answers it.
func TestCloseUnanswered(t *testing.T) {
	bubble(t, func(t *testing.T, a *websocket.Acceptor, n *counts) {
		rec := transporttest.NewRecorder(t)
		conn, p := pipe(t, a, "", rec)
		start := time.Now()
		conn.Close()
		p.wantClose(1000)
		rec.WantClosed(nil)
		took(t, start, 5*time.Second)
		if n.slow.Load() != 0 {
			t.Error("a closed connection was counted as slow")
		}
	})
}

// So it is when the client does not even take what is queued.
func TestCloseUntaken(t *testing.T) {
	bubble(t, func(t *testing.T, a *websocket.Acceptor, n *counts) {
		rec := transporttest.NewRecorder(t)
		conn, _ := pipe(t, a, "", rec)
		if err := conn.Send(transport.Text("a")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		start := time.Now()
		conn.Close()
		rec.WantClosed(nil)
		took(t, start, 5*time.Second)
		if n.slow.Load() != 0 {
			t.Error("a closed connection was counted as slow")
		}
	})
}

// A session hears of a violation at once, not when its client has gone.
func TestViolationIsToldAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, a *websocket.Acceptor, _ *counts) {
		rec := transporttest.NewRecorder(t)
		_, p := pipe(t, a, "", rec)
		start := time.Now()
		p.send("\x81\x01a")
		rec.WantClosed(transport.ErrProtocol)
		took(t, start, 0)
		a.Close() // waits for nothing, either
		took(t, start, 0)
	})
}

// checking is a Receiver that checks what it hears.
type checking struct {
	t      *testing.T
	max    int
	over   bool
	closed chan error
}

func (r *checking) Frame(binary bool, data []byte) error {
	if r.over || len(data) > r.max || !binary && !utf8.Valid(data) {
		r.t.Errorf("Frame(%t, %q), after Closed: %t", binary, data, r.over)
	}
	if bytes.HasPrefix(data, []byte("refuse")) {
		return errors.New("refused")
	}
	return nil
}

func (r *checking) Closed(err error) {
	if r.over {
		r.t.Error("Closed called twice")
	}
	r.over = true
	r.closed <- err
}

// FuzzPeer lets a peer send anything behind its handshake: no panic escapes
// and each connection comes to one end. (Coverage depends on scheduling here:
// run it with -fuzzminimizetime=10x, or it spends its time on minimizing.)
func FuzzPeer(f *testing.F) {
	for _, in := range []string{
		"",
		masked(fin|opText, "hello"),
		masked(opText, "a") + masked(fin|opPing, "p") + masked(fin, "b"),
		masked(fin|opClose, status(1000, "bye")),
		masked(fin|opText, "refuse") + masked(fin|opText, "a"),
		"\x81\xff\x80" + strings.Repeat("\x00", 11),
		string(header(fin|opBin, 1<<40)),
		"\x81\x01a",
	} {
		f.Add(in, 0)
		f.Add(in, 5)
	}
	const limit = 1000
	a := websocket.New(websocket.Options{MaxFrame: limit})
	f.Cleanup(func() { a.Close() })
	f.Fuzz(func(t *testing.T, in string, early int) {
		early = max(0, min(early, len(in), 4096))
		r := &checking{t: t, max: limit, closed: make(chan error, 2)}
		_, p := pipe(t, a, in[:early], r)
		go io.Copy(io.Discard, p.br) // ends with the connection
		_, _ = io.WriteString(p.Conn, in[early:])
		p.Close()
		select {
		case err := <-r.closed:
			if err == nil {
				t.Error("Closed(nil), and nobody closed it")
			}
		case <-time.After(30 * time.Second):
			t.Fatal("Closed was not called")
		}
	})
}
