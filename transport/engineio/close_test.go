package engineio_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/engineio"
)

const unknownSID = `{"code":1,"message":"Session ID unknown"}`

func TestCloseWebSocket(t *testing.T) {
	r := newRig(t, engineio.Options{}, false)
	c, p := r.session()
	for range 3 {
		if err := p.Send(transport.Text("4bye")); err != nil {
			t.Fatal(err)
		}
	}
	p.Close()
	p.Close()
	if err := p.Send(transport.Text("4late")); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Send after Close: %v, want ErrClosed", err)
	}
	for range 3 {
		c.want("4bye")
	}
	c.wantClose(websocket.StatusNormalClosure)
	p.want(t, engineio.ReasonForcedClose)
}

// Messages first; the next poll is told to close, by a packet of its own.
// What the client sends meanwhile is still taken.
func TestClosePolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan string, 10)
		r := newRigWith(t, engineio.Options{}, true, func(_ *peer, _ bool, data []byte) error {
			got <- string(data)
			return nil
		})
		q, p := r.poll()
		p.Send(transport.Text("4a"))
		p.Send(transport.Text("4b"))
		p.Close()
		r.want(r.must("POST", q, "4x"), 200, "ok")
		r.want(r.get(q), 200, "4a\x1e4b")
		r.want(r.get(q), 200, "1")
		r.want(r.get(q), 400, unknownSID)
		time.Sleep(300 * time.Millisecond)
		r.want(r.must("POST", q, "4y"), 200, "ok")
		if x, y := recv(t, got), recv(t, got); x != "x" || y != "y" {
			t.Errorf("received %q, %q", x, y)
		}
		p.want(t, engineio.ReasonForcedClose)
		r.want(r.must("POST", q, "4z"), 400, unknownSID)
	})
}

func TestCloseWaitingPoll(t *testing.T) {
	r := newRig(t, engineio.Options{}, false)
	q, p := r.poll()
	poll := r.waiting(p, q)
	p.Close()
	r.want(recv(t, poll), 200, "1")
	p.want(t, engineio.ReasonForcedClose)
}

// A client that does not poll any more is not waited for without end.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, engineio.Options{}, true)
		q, p := r.poll()
		p.Send(transport.Text("4a"))
		start := time.Now()
		p.Close()
		time.Sleep(29 * time.Second) // longer than recv waits, with what follows
		p.want(t, engineio.ReasonForcedClose)
		wantAt(t, start, 30*time.Second, "closed")
		r.want(r.get(q), 400, unknownSID)
	})
}

// A client in the middle of an upgrade has stopped polling: what is queued
// goes where it went.
func TestCloseDuringUpgrade(t *testing.T) {
	r := newRig(t, engineio.Options{}, false)
	q, p := r.poll()
	c := r.candidate(q)
	c.write("2probe")
	c.want("3probe")
	p.Send(transport.Text("4a"))
	p.Send(transport.Text("4b"))
	p.Close()
	c.write("5")
	c.want("4a")
	c.want("4b")
	c.wantClose(websocket.StatusNormalClosure)
	p.want(t, engineio.ReasonForcedClose)
}

func TestAbort(t *testing.T) {
	r := newRig(t, engineio.Options{}, false)
	q, p := r.poll()
	poll := r.waiting(p, q)
	p.Abort(engineio.ReasonTransportError)
	p.Abort(engineio.ReasonPingTimeout)
	r.want(recv(t, poll), 200, "1")
	p.want(t, engineio.ReasonTransportError)
	r.want(r.get(q), 400, unknownSID)

	c, p := r.session()
	p.Abort("")
	c.wantClose(-1)
	p.want(t, engineio.ReasonForcedClose)
}

// A session may be used, and ended, before accept returns.
func TestInAccept(t *testing.T) {
	for _, test := range []struct {
		name   string
		accept func(s *engineio.Session) bool // whether there is a Receiver
		poll   string                         // answer to the handshake, behind the open packet
		status int
	}{
		{"Send", func(s *engineio.Session) bool { return s.Send(transport.Text("4hi")) == nil }, "\x1e4hi", 200},
		{"Close", func(s *engineio.Session) bool { s.Close(); return true }, "", 200},
		{"Abort", func(s *engineio.Session) bool { s.Abort(engineio.ReasonForcedClose); return true }, "", 400},
		{"no Receiver", func(*engineio.Session) bool { return false }, "", 400},
		{"panic", func(*engineio.Session) bool { panic("as a test") }, "", -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			closed := make(chan end, 10)
			srv := newServer(t, func(s *engineio.Session) engineio.Receiver {
				if !test.accept(s) {
					return nil
				}
				return &peer{Session: s, closed: closed}
			})
			a := recv(t, srv.later("GET", "&transport=polling", ""))
			switch {
			case a.status != test.status:
				t.Fatalf("answered %v", a)
			case test.status == 200:
				if sid := srv.sid(a.body[:len(a.body)-len(test.poll)]); sid == "" || a.body[len(a.body)-len(test.poll):] != test.poll {
					t.Errorf("answered %q", a.body)
				}
			case test.status == 400:
				srv.want(a, 400, unknownSID)
			}
			if test.name != "Send" {
				until(t, func() bool { return srv.Sessions() == 0 })
			}
		})
	}
}

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := make(chan int, 10)
		opts := engineio.Options{CloseTimeout: 5 * time.Second}
		opts.Hooks.Refused = func(code int) { refused <- code }
		r := newRig(t, opts, true)
		q, p1 := r.poll()
		c, p2 := r.session()
		_, p3 := r.poll() // never polls again
		p1.Send(transport.Text("4a"))
		start := time.Now()
		done := make(chan error, 1)
		go func() { done <- r.Shutdown(t.Context()) }()
		synctest.Wait()

		a := r.get("&transport=polling")
		r.want(a, 503, `{"code":4,"message":"Server shutting down"}`)
		if code := <-refused; code != 4 {
			t.Errorf("refused with code %d", code)
		}
		c.wantClose(websocket.StatusGoingAway)
		r.want(r.get(q), 200, "4a")
		r.want(r.get(q), 200, "1")
		for _, p := range []*peer{p1, p2, p3} {
			p.want(t, engineio.ReasonForcedClose)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		wantAt(t, start, 2*time.Second, "shut down")
		if err := r.Shutdown(t.Context()); err != nil {
			t.Errorf("second Shutdown: %v", err)
		}
	})
}

func TestShutdownPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, engineio.Options{}, true)
		_, p := r.poll()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v, want the end of ctx", err)
		}
		wantAt(t, start, time.Second, "shut down")
		p.want(t, engineio.ReasonForcedClose)
	})
}

// Close waits for a Receiver that is at work.
func TestCloseWaitsForReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, engineio.Options{}, true, func(*peer, bool, []byte) error {
			time.Sleep(time.Minute)
			return nil
		})
		q, p := r.poll()
		c, p2 := r.session()
		c.write("4a")
		post := r.later("POST", q, "4a")
		start := time.Now()
		synctest.Wait()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		wantAt(t, start, time.Minute, "closed")
		p.want(t, engineio.ReasonForcedClose)
		p2.want(t, engineio.ReasonForcedClose)
		recv(t, post)
	})
}
