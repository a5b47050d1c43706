package socketio_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// A client that is cut between the answer to CONNECT and what it missed, or
// amid that, gets it all the next time.
func TestRecoveryCutAmidReplay(t *testing.T) {
	l := open(t, nil, nil)
	g := arrive(t, l.url, "")
	s := <-l.sockets
	l.cut(g)
	s.Emit("a")
	s.Emit("b")
	s.Emit("c")
	g.wantRecovered(true)
	<-l.sockets
	l.cut(g)
	g.wantRecovered(true, `["a"]`, `["b"]`)
	<-l.sockets
	l.cut(g)
	g.wantRecovered(true, `["c"]`)
}

// A client that is back before its loss was noticed fences its old socket, whose
// handlers are done before those of the new one begin.
func TestRecoveryFence(t *testing.T) {
	var mu sync.Mutex
	var told []string
	began := make(chan struct{})
	l := open(t, nil, func(io *socketio.Server) {
		say := func(s string) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, s)
		}
		n := io.Of("/")
		n.OnConnect(func(context.Context, *socketio.Socket) { say("connect") })
		socketio.On(n, "slow", func(ctx context.Context, _ *socketio.Socket, _ any) error {
			close(began)
			<-ctx.Done()
			say("handler")
			return nil
		})
		n.OnDisconnect(func(_ context.Context, _ *socketio.Socket, why socketio.Reason) { say(string(why)) })
	})
	g := arrive(t, l.url, "")
	first := <-l.sockets
	g.Send(`42["slow"]`)
	<-began
	old := *g
	l.Of("/").Emit("lost", 1)
	g.wantRecovered(true, `["lost",1]`)
	second := <-l.sockets
	old.WantClosed()
	second.Emit("next", 2)
	first.Emit("by the old socket", 3)
	g.wantEvents(`["next",2]`, `["by the old socket",3]`)
	await(t, "the order of handlers", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Equal(told, []string{"connect", "handler", "transport close", "connect"})
	})
	if first.Connected() || !second.Connected() {
		t.Error("not the new socket is connected")
	}
}

// Of two attempts of one client the later one counts, though the earlier one be
// let in after it.
func TestRecoveryOvertaken(t *testing.T) {
	entered, goOn := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	l := open(t, func(o *socketio.Options) { o.Recovery.Middlewares = true }, func(io *socketio.Server) {
		io.Of("/").Use(func(_ context.Context, s *socketio.Socket) error {
			if s.Recovered() && calls.Add(1) == 1 {
				close(entered)
				<-goOn
			}
			return nil
		})
	})
	g := arrive(t, l.url, "")
	s := <-l.sockets
	l.cut(g)
	s.Emit("x", 1)
	early := &guest{t: t, url: l.url, Client: socketiotest.Dial(t, l.url)}
	early.Send(`40{"pid":"` + g.pid + `"}`)
	<-entered
	g.wantRecovered(true, `["x",1]`)
	close(goOn)
	if answer := early.Read(); strings.Contains(answer, g.pid) || strings.Contains(answer, g.sid) || !strings.HasPrefix(answer, `40{"sid":`) {
		t.Errorf("got %s, want a session of its own", answer)
	}
	if c := l.counted(); c.notRecovered[socketio.UnrecoveredOvertaken] != 1 || c.recovered != 1 {
		t.Errorf("counted %+v", c)
	}
	l.Of("/").Emit("all", 2)
	g.wantEvents(`["all",2]`)
	early.wantEvents(`["all",2]`)
}

// A client that is back, and whose place is given up before it is let in, was
// not overtaken.
func TestRecoveryCrowdedOut(t *testing.T) {
	entered, goOn := make(chan struct{}), make(chan struct{})
	l := open(t, func(o *socketio.Options) { o.Recovery.Middlewares, o.Recovery.MaxParked = true, 1 }, func(io *socketio.Server) {
		io.Of("/").Use(func(_ context.Context, s *socketio.Socket) error {
			if s.Recovered() {
				close(entered)
				<-goOn
			}
			return nil
		})
	})
	g, other := arrive(t, l.url, ""), arrive(t, l.url, "")
	l.cut(g)
	back := &guest{t: t, url: l.url, Client: socketiotest.Dial(t, l.url)}
	back.Send(`40{"pid":"` + g.pid + `"}`)
	<-entered
	l.cut(other)
	close(goOn)
	if answer := back.Read(); strings.Contains(answer, g.pid) || !strings.HasPrefix(answer, `40{"sid":`) {
		t.Errorf("got %s, want a session of its own", answer)
	}
	if c := l.counted(); c.notRecovered[socketio.UnrecoveredUnknown] != 1 || len(c.notRecovered) != 1 {
		t.Errorf("counted %+v", c)
	}
}

// Two clients of one identifier: the newer has the session.
func TestRecoveryTwoClients(t *testing.T) {
	l := open(t, nil, nil)
	g := arrive(t, l.url, "")
	<-l.sockets
	twin := *g
	twin.wantRecovered(true)
	second := <-l.sockets
	g.WantClosed()
	second.Emit("x", 1)
	twin.wantEvents(`["x",1]`)
	g.wantRecovered(true, `["x",1]`)
	twin.WantClosed()
	if n := l.Of("/").Len(); n != 1 {
		t.Errorf("%d sockets", n)
	}
}

// All clients see one order, whoever emits, and offsets grow in it: what is
// behind one is what comes later.
func TestRecoveryOneOrder(t *testing.T) {
	l := open(t, func(o *socketio.Options) { o.Engine.MaxQueue = 16 << 20 }, nil)
	a, b := arrive(t, l.url, ""), arrive(t, l.url, "")
	first, _ := <-l.sockets, <-l.sockets
	const emitters, each = 4, 300
	var wg sync.WaitGroup
	for i := range emitters {
		wg.Go(func() {
			for k := range each {
				if k%3 == 0 {
					first.Emit("direct", i, k)
				} else {
					l.Of("/").Emit("all", i, k)
				}
			}
		})
	}
	read := func(g *guest, n int) (all []string) {
		before := ""
		for range n {
			event := g.event()
			if len(g.offset) < len(before) || len(g.offset) == len(before) && g.offset <= before {
				t.Fatalf("offset %s comes behind %s", g.offset, before)
			}
			before = g.offset
			if !strings.Contains(event, "direct") {
				all = append(all, event)
			}
		}
		return all
	}
	direct := emitters * each / 3
	if first.ID() != a.sid {
		a, b = b, a
	}
	all := emitters * each * 2 / 3
	if !slices.Equal(read(a, all+direct), read(b, all)) {
		t.Error("two clients see two orders")
	}
	wg.Wait()
}
