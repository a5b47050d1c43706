package main_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/socketio"
)

// An order is what a script has the server do.
type order struct {
	Do        string
	Namespace string
	ID        string // of the socket concerned
	Room      string
	Except    string
	Event     string
	Args      []socketio.Raw
}

// told is what has happened to a socket.
type told struct {
	What      string `json:"what"`
	ID        string `json:"id"`
	Recovered bool   `json:"recovered"`
}

// orders is a server, in this process, that does what a script tells it to.
type orders struct {
	io *socketio.Server

	mu      sync.Mutex // guards all below
	log     []told
	sockets map[string]*socketio.Socket // the first of each id: with recovery, an old one
}

func (o *orders) tell(what string, s *socketio.Socket) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.log = append(o.log, told{what, s.ID(), s.Recovered()})
	if o.sockets[s.ID()] == nil {
		o.sockets[s.ID()] = s
	}
}

func (o *orders) obey(ctx context.Context, _ *socketio.Socket, c order) (any, error) {
	n := o.io.Of(c.Namespace)
	to := n.Local()
	if c.ID != "" {
		to = to.To(c.ID)
	}
	if c.Room != "" {
		to = to.To(c.Room)
	}
	if c.Except != "" {
		to = to.Except(c.Except)
	}
	args := make([]any, len(c.Args))
	for i, a := range c.Args {
		args[i] = a
	}
	o.mu.Lock()
	old := o.sockets[c.ID]
	o.mu.Unlock()
	switch c.Do {
	case "emit":
		return nil, to.Emit(c.Event, args...)
	case "volatile":
		return nil, to.Volatile().Emit(c.Event, args...)
	case "direct": // by the Socket of the beginning
		return nil, old.Emit(c.Event, args...)
	case "join":
		return nil, n.To(c.ID).SocketsJoin(c.Room)
	case "leave":
		old.Leave(c.Room)
		return nil, nil
	case "data":
		old.SetData(c.Args[0])
		return nil, nil
	case "kick":
		return nil, n.To(c.ID).DisconnectSockets(true)
	case "ask":
		ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		answers, err := to.EmitWithAck(ctx, c.Event, args...)
		return map[string]any{"answers": len(answers), "missing": err != nil}, nil
	case "sockets":
		found, err := n.To(c.ID).FetchSockets(ctx)
		return found, err
	case "log":
		o.mu.Lock()
		defer o.mu.Unlock()
		log := o.log
		o.log = nil
		return log, nil
	}
	return nil, fmt.Errorf("unknown order %q", c.Do)
}

func newOrders(t *testing.T, opts socketio.Options) (*orders, string) {
	t.Helper()
	opts.Logger = slog.New(slog.DiscardHandler)
	o := &orders{io: socketio.New(opts), sockets: make(map[string]*socketio.Socket)}
	for _, name := range []string{"/", "/a"} {
		n := o.io.Of(name)
		n.OnConnect(func(_ context.Context, s *socketio.Socket) { o.tell("connect", s) })
		n.OnDisconnect(func(_ context.Context, s *socketio.Socket, why socketio.Reason) { o.tell(string(why), s) })
	}
	socketio.Reply(o.io.Of("/control"), "do", o.obey)
	web := httptest.NewServer(o.io)
	t.Cleanup(func() {
		if err := o.io.Close(); err != nil {
			t.Error(err)
		}
		web.Close()
	})
	return o, strings.TrimPrefix(web.URL, "http://")
}

// TestRecovery cuts the connection of the official client in all ways.
func TestRecovery(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			_, addr := newOrders(t, socketio.Options{Recovery: socketio.Recovery{Enabled: true, MaxBytes: 200_000}})
			w := newWire(t, addr)
			runScript(t, asks{
				"reset": w.reset, "finish": w.finish, "freeze": w.freeze,
				"refuse": w.refuse, "admit": w.admit,
				"cut behind the answer": w.cutBehind(`"}`, 1),
				"cut behind an event":   w.cutBehind(`"]`, 1),
				"cut behind two events": w.cutBehind(`"]`, 2),
			}, "recovery.mjs", mode, w.url(), "http://"+addr)
		})
	}
}

// TestServerRecovers runs the server as it is by default.
func TestServerRecovers(t *testing.T) {
	i := startInstance(t, "node-a")
	w := newWire(t, i.addr)
	runScript(t, asks{"refuse": w.refuse, "admit": w.admit}, "recovery_server.mjs", w.url(), i.url())
}

// TestRecoveryUnderLoad cuts a client off for two seconds, again and again,
// while 1,000 messages a second are for it.
func TestRecoveryUnderLoad(t *testing.T) {
	const rate, cuts = 1000, 6
	o, addr := newOrders(t, socketio.Options{Recovery: socketio.Recovery{Enabled: true}})
	w := newWire(t, addr)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer func() { stop(); wg.Wait() }()
	sent := 0
	begin := func(*testing.T) {
		wg.Go(func() { // ends with stop
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for range tick.C {
				if ctx.Err() != nil {
					break
				}
				for range rate / 100 {
					sent++
					if err := o.io.Of("/").To("load").Emit("n", sent); err != nil {
						t.Error(err)
					}
				}
			}
			if err := o.io.Of("/").To("load").Emit("end", sent); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() { // ends after the last cut
			for i := range cuts {
				if !wait(ctx, time.Second+time.Duration(rand.IntN(1000))*time.Millisecond) {
					return
				}
				if i%3 == 2 {
					w.freeze(t)
					w.set(true)
				} else {
					w.refuse(t)
				}
				wait(ctx, 2*time.Second)
				w.set(false)
			}
			wait(ctx, 2*time.Second)
			stop()
		})
	}
	o.io.Of("/").OnConnect(func(_ context.Context, s *socketio.Socket) { s.Join("load") })
	start := time.Now()
	runScript(t, asks{"begin": begin}, "recovery_load.mjs", w.url())
	wg.Wait()
	lost := 0
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.log {
		if l.What == "connect" && !l.Recovered {
			lost++
		}
	}
	if lost != 1 {
		t.Errorf("%d sessions, want one", lost)
	}
	t.Logf("RESULT recovery under load: %d messages at %d/s in %v, %d cuts of 2 s: all delivered, in order, once", sent, rate, time.Since(start).Round(time.Second), cuts)
}

// wait waits, and reports false if ctx ended before.
func wait(ctx context.Context, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
	return errors.Is(ctx.Err(), context.DeadlineExceeded)
}
