package websocket_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/transporttest"
	"github.com/carillonhq/carillon/transport/websocket"
)

// rests waits until c has no reading goroutine, where that is to be: on Linux.
func (s *server) rests(t *testing.T, c *websocket.Conn) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !c.Rests(); time.Sleep(time.Millisecond) {
		if runtime.GOOS != "linux" {
			t.Skip("a resting Conn has a goroutine here")
		}
		if time.Now().After(deadline) {
			t.Fatal("the Conn does not rest")
		}
		s.acceptor.Nudge()
	}
}

// restless has Conns rest whenever they can, until the test ends.
func restless(t testing.TB, a *websocket.Acceptor) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				a.Nudge()
				time.Sleep(50 * time.Microsecond)
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
	})
}

// TestContractRest is the contract for Conns that rest at every opportunity.
func TestContractRest(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, maxQueue int, r transport.Receiver) (transport.Conn, transporttest.Client) {
		a := websocket.New(websocket.Options{MaxQueue: maxQueue})
		restless(t, a)
		return openOn(t, a, transport.V4, httptest.NewServer, r)
	})
}

// TestContractRestTLS is the same where only a goroutine can wait.
func TestContractRestTLS(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, maxQueue int, r transport.Receiver) (transport.Conn, transporttest.Client) {
		a := websocket.New(websocket.Options{MaxQueue: maxQueue})
		restless(t, a)
		return openOn(t, a, transport.V4, httptest.NewTLSServer, r)
	})
}

func TestRestAndTalk(t *testing.T) {
	s := serve(t, websocket.Options{})
	conn, rec, p := s.connect(t)
	for i := range 3 {
		s.rests(t, conn)
		text := strings.Repeat("x", 1+i*5000)
		p.send(masked(fin|opText, text))
		if f := rec.Next(); string(f.Data) != text {
			t.Errorf("got %.20q, want %.20q", f.Data, text)
		}
		s.rests(t, conn)
		p.send(masked(fin|opPing, "are you there?"))
		p.want(opPong, "are you there?")
		s.rests(t, conn)
		if err := conn.Send(transport.Text("yes")); err != nil {
			t.Fatal(err)
		}
		p.want(opText, "yes")
		if !conn.Rests() {
			t.Error("to write has roused it")
		}
	}
}

func TestRestEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(c *websocket.Conn, p *peer)
		want error
	}{
		{"close", func(c *websocket.Conn, p *peer) {
			c.Close()
			p.want(opClose, status(1000, ""))
			p.send(masked(fin|opClose, status(1000, "")))
		}, nil},
		{"abort", func(c *websocket.Conn, p *peer) { c.Abort() }, nil},
		{"client closes", func(c *websocket.Conn, p *peer) { p.send(masked(fin|opClose, status(1000, ""))) }, transport.ErrClosed},
		{"stream ends", func(c *websocket.Conn, p *peer) { p.Close() }, errAny},
		{"reset", func(c *websocket.Conn, p *peer) { p.reset() }, errAny},
		{"violation", func(c *websocket.Conn, p *peer) { p.send(masked(fin|0x3, "")) }, transport.ErrProtocol},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, websocket.Options{})
			conn, rec, p := s.connect(t)
			s.rests(t, conn)
			test.end(conn, p)
			if test.want == errAny {
				if err := rec.Closing(); err == nil {
					t.Error("got no error")
				}
				return
			}
			rec.WantClosed(test.want)
		})
	}
}

// errAny stands for whatever the system says.
var errAny = errors.New("any")

// A message that has come in part keeps the Conn awake: what of it is there,
// is the reading goroutine's.
func TestNoRestWithinAFrame(t *testing.T) {
	s := serve(t, websocket.Options{})
	conn, rec, p := s.connect(t)
	nudge := func() {
		for range 10 {
			s.acceptor.Nudge()
			time.Sleep(time.Millisecond)
		}
	}
	whole := masked(fin|opText, strings.Repeat("y", 300))
	for _, cut := range []int{1, 2, 3, 9, 200} {
		p.send(whole[:cut])
		nudge()
		p.send(whole[cut:])
		if f := rec.Next(); len(f.Data) != 300 {
			t.Errorf("cut at %d: got %d bytes, want 300", cut, len(f.Data))
		}
	}
	p.send(masked(opText, "one, "))
	nudge()
	p.send(masked(fin|opPing, "")) // behind which there is no part of a frame
	p.want(opPong, "")
	s.rests(t, conn)
	p.send(masked(0, "two, "))
	nudge()
	p.send(masked(fin, "three"))
	if f := rec.Next(); string(f.Data) != "one, two, three" {
		t.Errorf("got %q", f.Data)
	}
}

// However often a Conn rests, it hears all, in order.
func TestRestLosesNothing(t *testing.T) {
	s := serve(t, websocket.Options{})
	restless(t, s.acceptor)
	const clients, frames = 20, 200
	var next []func()
	for range clients {
		_, rec, p := s.connect(t)
		go func() {
			for i := range frames {
				if p.send(masked(fin|opText, fmt.Sprint(i))); i%3 == 0 {
					time.Sleep(100 * time.Microsecond)
				}
			}
		}()
		i := 0
		next = append(next, func() {
			if f := rec.Next(); string(f.Data) != fmt.Sprint(i) {
				t.Fatalf("got %q, want %d", f.Data, i)
			}
			i++
		})
	}
	for range frames {
		for _, f := range next {
			f()
		}
	}
}

// Conns that rest have no goroutine, and the Acceptor's Close ends them.
func TestRestTakesNoGoroutine(t *testing.T) {
	s := serve(t, websocket.Options{})
	const n = 50
	before := runtime.NumGoroutine()
	var conns []*websocket.Conn
	var recs []*transporttest.Recorder
	for range n {
		c, rec, _ := s.connect(t)
		conns, recs = append(conns, c), append(recs, rec)
	}
	for _, c := range conns {
		s.rests(t, c)
	}
	for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before+n/2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines for %d Conns", runtime.NumGoroutine()-before, n)
		}
	}
	s.acceptor.Close()
	for _, rec := range slices.Backward(recs) {
		rec.WantClosed(nil)
	}
}

// A Conn rests when its client has been silent for a second or two.
func TestSilence(t *testing.T) {
	s := serve(t, websocket.Options{})
	conn, _, _ := s.connect(t)
	if runtime.GOOS != "linux" {
		t.Skip("a resting Conn has a goroutine here")
	}
	for deadline := time.Now().Add(30 * time.Second); !conn.Rests(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the Conn does not rest")
		}
	}
}

// Where only a goroutine can wait, as for a net.Pipe, it does.
func TestRestOfAPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := websocket.New(websocket.Options{})
		rec := transporttest.NewRecorder(t)
		_, p := pipe(t, a, "", rec)
		for range 3 {
			time.Sleep(time.Minute)
			p.send(masked(fin|opText, strings.Repeat("z", 100)))
			if f := rec.Next(); len(f.Data) != 100 {
				t.Errorf("got %d bytes, want 100", len(f.Data))
			}
		}
		a.Close()
		rec.WantClosed(nil)
	})
}
