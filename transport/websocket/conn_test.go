package websocket_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/transporttest"
	"github.com/carillonhq/carillon/transport/websocket"
)

// plainConn hides what a net.Conn can do beside reading and writing, as
// listeners that count or limit connections do.
type plainConn struct{ net.Conn }

type plainListener struct{ net.Listener }

func (l plainListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return plainConn{c}, err
}

// TestContractPlain covers connections whose type says nothing.
func TestContractPlain(t *testing.T) {
	listen := func(h http.Handler) *httptest.Server {
		srv := httptest.NewUnstartedServer(h)
		srv.Listener = plainListener{srv.Listener}
		srv.Start()
		return srv
	}
	transporttest.Run(t, func(t *testing.T, maxQueue int, r transport.Receiver) (transport.Conn, transporttest.Client) {
		return open(t, listen, websocket.Options{MaxQueue: maxQueue}, r)
	})
}

func TestCloseTellsTheClient(t *testing.T) {
	s := serve(t, websocket.Options{})
	conn, rec, p := s.connect(t)
	if err := conn.Send(transport.Text("last")); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	p.want(opText, "last")
	p.want(opClose, status(1000, ""))
	// What the client says before it answers is still heard.
	p.send(masked(fin|opText, "late") + masked(fin|opClose, status(1000, "")))
	if f := rec.Next(); string(f.Data) != "late" {
		t.Errorf("got %q, want %q", f.Data, "late")
	}
	rec.WantClosed(nil)
	if _, _, err := p.receive(); !errors.Is(err, io.EOF) {
		t.Errorf("behind the close frame: %v, want io.EOF", err)
	}
}

func TestRefusedFrameTellsTheClient(t *testing.T) {
	s := serve(t, websocket.Options{})
	_, rec, p := s.connect(t)
	refusal := errors.New("refused")
	n := 0
	rec.OnFrame = func(bool, []byte) error { n++; return refusal }
	p.send(strings.Repeat(masked(fin|opText, "a"), 100))
	p.wantClose(1008)
	rec.WantClosed(refusal)
	if n != 1 {
		t.Errorf("%d frames after a refusal", n-1)
	}
}

// panicking is a Receiver that is wrong.
type panicking struct {
	frame  bool
	closed chan error
}

func (r panicking) Frame(bool, []byte) error {
	if r.frame {
		panic("frame")
	}
	return nil
}

func (r panicking) Closed(err error) {
	r.closed <- err
	panic("closed")
}

func TestPanickingReceiver(t *testing.T) {
	s := serve(t, websocket.Options{})
	for _, inFrame := range []bool{true, false} {
		before := s.panics.Load()
		p := dial(t, s.addr, "")
		r := panicking{inFrame, make(chan error, 2)}
		(<-s.conns).Start(r)
		p.send(masked(fin|opText, "a"))
		want := int64(1)
		if inFrame {
			p.wantClose(1011)
			want = 2
		} else {
			p.send(masked(fin|opClose, ""))
			p.wantClose(0)
		}
		p.Close()
		if err := <-r.closed; inFrame && (err == nil || errors.Is(err, transport.ErrProtocol)) {
			t.Errorf("Closed(%v), want the panic", err)
		}
		for s.panics.Load()-before < want {
			runtime.Gosched() // Closed is counted after it returned
		}
	}
}

// The write deadline cuts a client that takes nothing, even if its queue
// has room.
func TestWriteTimeout(t *testing.T) {
	s := serve(t, websocket.Options{WriteTimeout: 50 * time.Millisecond, MaxQueue: 64 << 20})
	conn, rec, _ := s.connect(t)
	f := transport.NewFrames(transport.Frame{Binary: true, Data: make([]byte, 1<<20)})
	for range 20 {
		if err := conn.Send(f); err != nil {
			t.Fatal(err)
		}
	}
	rec.WantClosed(transport.ErrSlow)
	s.acceptor.Close()
	if s.slow.Load() != 1 || s.blocks.Load() != 1 || s.behind.Load() != 0 {
		t.Errorf("slow %d, blocked %d, still behind %d, want 1, 1 and 0", s.slow.Load(), s.blocks.Load(), s.behind.Load())
	}
}

// A client that pings and reads nothing cannot make us keep pongs.
func TestPingFlood(t *testing.T) {
	s := serve(t, websocket.Options{MaxQueue: 64 << 10, WriteTimeout: time.Hour})
	_, rec, p := s.connect(t)
	pings := strings.Repeat(masked(fin|opPing, strings.Repeat("p", 125)), 500)
	for range 1000 { // 64 MB of pongs
		if _, err := io.WriteString(p.Conn, pings); err != nil {
			break
		}
	}
	rec.WantClosed(transport.ErrSlow)
}

// stream sends frames until the Conn takes no more.
func stream(conn *websocket.Conn) (join func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f := transport.Text(strings.Repeat("x", 1000))
		for conn.Send(f) == nil {
			for conn.Buffered() > 64<<10 {
				runtime.Gosched()
			}
		}
	}()
	return func() { <-done }
}

// reset closes a connection the hard way.
func (p *peer) reset() {
	_ = p.Conn.(*net.TCPConn).SetLinger(0)
	p.Close()
}

func TestReset(t *testing.T) {
	s := serve(t, websocket.Options{})
	for range 20 {
		conn, rec, p := s.connect(t)
		join := stream(conn)
		p.want(opText, strings.Repeat("x", 1000))
		p.reset()
		join()
		// The kernel tells of a reset once, to the write or to the read, and
		// the other one meets a closed pipe or the end of the stream.
		err := rec.Closing()
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) && err != io.EOF {
			t.Errorf("Closed(%v), want an error of the connection", err)
		}
	}
}

// A client that says goodbye and is gone before we have read it has ended in
// good order, though our writes fail.
func TestCloseAndReset(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems discard what is unread at a reset")
	}
	s := serve(t, websocket.Options{})
	for range 50 {
		conn, rec, p := s.connect(t)
		entered := make(chan struct{})
		rec.OnFrame = func(bool, []byte) error {
			close(entered)
			for conn.Buffered() > 0 || conn.Send(transport.Text("x")) == nil {
				runtime.Gosched() // until writing has failed
			}
			return nil
		}
		p.send(masked(fin|opText, "a"))
		<-entered
		p.send(strings.Repeat(masked(fin|opPong, strings.Repeat("p", 125)), 20) + masked(fin|opClose, status(1000, "")))
		p.reset()
		rec.WantClosed(transport.ErrClosed)
	}
}

func TestAbortBeforeStart(t *testing.T) {
	s := serve(t, websocket.Options{})
	p := dial(t, s.addr, "")
	conn := <-s.conns
	conn.Abort()
	if _, _, err := p.receive(); err == nil {
		t.Error("the connection is still open")
	}
	if err := conn.Send(transport.Text("a")); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Send: %v, want ErrClosed", err)
	}
	rec := transporttest.NewRecorder(t)
	conn.Start(rec)
	rec.WantClosed(nil)

	dial(t, s.addr, "")
	(<-s.conns).Abort() // and never started
	dial(t, s.addr, "")
	<-s.conns // neither
	s.acceptor.Close()
	s.acceptor.Close()
}

func TestAcceptorClose(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("", func(t *testing.T) {
		s := serve(t, websocket.Options{})
		var recs []*transporttest.Recorder
		for i := range 200 {
			conn, rec, p := s.connect(t)
			if err := conn.Send(transport.Text("hello")); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				p.want(opText, "hello")
				conn.Close()
				p.wantCloseAnswered()
				rec.WantClosed(nil)
				continue
			}
			recs = append(recs, rec)
		}
		s.acceptor.Close()
		for _, rec := range recs {
			rec.WantClosed(nil)
		}
	})
	deadline := time.Now().Add(30 * time.Second)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
	}
}

// wantCloseAnswered is a client's part of a close that the server began.
func (p *peer) wantCloseAnswered() {
	p.t.Helper()
	p.want(opClose, status(1000, ""))
	p.send(masked(fin|opClose, status(1000, "")))
	if _, _, err := p.receive(); !errors.Is(err, io.EOF) {
		p.t.Errorf("behind the close frame: %v, want io.EOF", err)
	}
}
