package socketio_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/socketio"
)

// A ward is a node of a cluster in a bubble whose seats others adopt, and who can
// be made to die at any point.
type ward struct {
	*bubble
	bus  *broker.Bus
	link *wire
}

// A wire is a driver that can be cut, and that looks at what is published.
type wire struct {
	broker.Driver
	mu   sync.Mutex // guards all below
	cut  bool
	look func(data []byte) // called before
}

func (l *wire) Publish(ctx context.Context, topic string, data []byte) error {
	l.mu.Lock()
	look := l.look
	l.mu.Unlock()
	if look != nil {
		look(data)
	}
	l.mu.Lock()
	cut := l.cut
	l.mu.Unlock()
	if cut {
		return nil // nobody hears it
	}
	return l.Driver.Publish(ctx, topic, data)
}

// die has the node say nothing more.
func (w *ward) die() {
	w.link.mu.Lock()
	defer w.link.mu.Unlock()
	w.link.cut = true
}

// spy has f called before anything is published that contains one of some texts.
func (w *ward) spy(f func(), texts ...string) {
	w.link.mu.Lock()
	defer w.link.mu.Unlock()
	w.link.look = func(data []byte) {
		if slices.ContainsFunc(texts, func(text string) bool { return bytes.Contains(data, []byte(text)) }) {
			f()
		}
	}
}

func newWards(t *testing.T, n int, change func(i int, o *socketio.Options)) (all []*ward) {
	t.Helper()
	hub := memory.NewHub()
	for i := range n {
		w := &ward{link: &wire{Driver: hub.Driver()}}
		bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return w.link, nil },
			broker.Options{Node: fmt.Sprint("n", i), Compression: broker.Compression{Off: true}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = bus.Close() })
		w.bus = bus
		cluster := adapter.NewCluster(bus, adapter.Options{Logger: slog.New(slog.DiscardHandler)})
		opts := socketio.Options{Adapter: cluster.Namespace, Recovery: socketio.Recovery{Enabled: true}}
		if change != nil {
			change(i, &opts)
		}
		w.bubble = newBubble(t, opts)
		all = append(all, w)
	}
	time.Sleep(10 * time.Second)
	return all
}

// leave stops a node as a server does.
func (w *ward) leave(t *testing.T, linger time.Duration) {
	t.Helper()
	w.bus.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.Drain(ctx, socketio.DrainOptions{Pace: engineio.Pace{}, Linger: linger}); err != nil {
		t.Error(err)
	}
	w.stop(t)
}

func (w *ward) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := w.bus.Close(); err != nil {
		t.Error(err)
	}
}

// away has a client with a socket of some rooms and data, who has had an event and
// missed others, and is away.
func (w *ward) away(t *testing.T, others ...*ward) *visitor {
	t.Helper()
	v := w.arrive()
	s := <-w.sockets
	s.Join("r")
	s.SetData("data")
	check(t, s.Emit("e", 1))
	if got := v.numbers(t, 1); !slices.Equal(got, []int{1}) {
		t.Fatal(got)
	}
	v.cut()
	<-w.ends
	all := append([]*ward{w}, others...)
	for i := range 4 {
		check(t, all[i%len(all)].Of("/").To("r").Emit("e", 2+i))
		time.Sleep(10 * time.Millisecond)
	}
	check(t, s.Emit("e", 6))
	time.Sleep(10 * time.Millisecond)
	return v
}

// wantBack has the client come back to a node, which is to be the one that it was.
func (w *ward) wantBack(t *testing.T, v *visitor, numbers ...int) {
	t.Helper()
	sid := v.sid
	v.back(w.bubble)
	if !v.recovered || v.sid != sid {
		t.Fatalf("recovered %v: %v", v.recovered, w.counted().notRecovered)
	}
	if s := <-w.sockets; s.Data() != "data" || !slices.Contains(s.Rooms(), "r") {
		t.Errorf("data %v, rooms %v", s.Data(), s.Rooms())
	}
	if got := v.numbers(t, len(numbers)); !slices.Equal(got, numbers) {
		t.Errorf("got %v, want %v", got, numbers)
	}
}

// wantNothing looks whether anything is left of what was kept.
func wantNothing(t *testing.T, all ...*ward) {
	t.Helper()
	time.Sleep(15 * time.Minute)
	for i, w := range all {
		if got := w.RecoveryStats(); got != (socketio.RecoveryStats{}) {
			t.Errorf("node %d keeps %+v in the end", i, got)
		}
		if n := w.Of("/").UnderWay(); n > 0 {
			t.Errorf("node %d: %d under way in the end", i, n)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// A client that is back only when its node has gone is who it was, on whatever
// node, and gets what it missed before that and since.
func TestAdopt(t *testing.T) {
	for name, linger := range map[string]time.Duration{"short linger": 100 * time.Millisecond, "no linger": -1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all := newWards(t, 3, nil)
				var vs []*visitor
				for range 5 {
					vs = append(vs, all[0].away(t, all[1:]...))
				}
				all[0].leave(t, linger)
				if got := all[0].counted(); got.lapsed[socketio.LapseAdopted] != 5 {
					t.Errorf("lapsed %v", got.lapsed)
				}
				if n := all[1].RecoveryStats().Parked + all[2].RecoveryStats().Parked; n != 5 {
					t.Errorf("%d are kept", n)
				}
				time.Sleep(20 * time.Second)
				for i, v := range vs {
					check(t, all[1].Of("/").To(v.sid).Emit("e", 100+i)) // by its id, wherever that says that it is
				}
				time.Sleep(time.Second)
				for i, v := range vs {
					want := []int{2, 3, 4, 5, 6}
					for range len(vs) - 1 - i { // what was to be missed by those after it
						want = append(want, 2, 3, 4, 5)
					}
					all[1+i%2].wantBack(t, v, append(want, 100+i)...)
				}
				for _, v := range vs {
					v.cut()
				}
				wantNothing(t, all...)
			})
		})
	}
}

// What the client had when it went is not sent again, and what it may have had
// is there for it, wherever it stood.
func TestAdoptWhereverItStood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newWards(t, 2, nil)
		for read := range 6 {
			v := all[0].arrive()
			s := <-all[0].sockets
			s.SetData("data")
			s.Join("r")
			for i := range 6 {
				check(t, s.Emit("e", i))
			}
			v.numbers(t, read)
			v.cut()
			<-all[0].ends
			defer func() {
				want := []int{0, 1, 2, 3, 4, 5}
				all[1].wantBack(t, v, want[read:]...)
				v.cut()
			}()
		}
		all[0].leave(t, -1)
	})
}

// At a second signal, and when the time is over, all is adopted that is there.
func TestAdoptAtSecondSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newWards(t, 2, nil)
		v := all[0].away(t)
		live := all[0].arrive()
		s := <-all[0].sockets
		s.SetData("data")
		s.Join("r")
		all[0].bus.Drain()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := all[0].Drain(ctx, socketio.DrainOptions{Linger: time.Minute}); err == nil {
			t.Error("drained to the end")
		}
		all[0].stop(t)
		all[1].wantBack(t, v, 2, 3, 4, 5, 6)
		all[1].wantBack(t, live)
		v.cut()
		live.cut()
		wantNothing(t, all...)
	})
}

// Shutdown alone hands over, too, also those who are connected.
func TestAdoptAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newWards(t, 2, nil)
		live := all[0].arrive()
		s := <-all[0].sockets
		s.SetData("data")
		s.Join("r")
		v := all[0].away(t)
		live.numbers(t, 4)
		all[0].stop(t)
		all[1].wantBack(t, live)
		all[1].wantBack(t, v, 2, 3, 4, 5, 6)
	})
}

// Of two nodes that stop at the same time none gives anything to the other; and
// the last one has nobody to give it to, and says so.
func TestAdoptOfTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newWards(t, 3, nil)
		vs := []*visitor{all[0].away(t), all[1].away(t, all[0])}
		var wg sync.WaitGroup
		for i := range 2 {
			wg.Go(func() { all[i].leave(t, time.Second) })
		}
		wg.Wait()
		for i := range 2 {
			if c := all[i].counted(); c.lapsed[socketio.LapseAdopted] != 1 || c.parked != 1 {
				t.Errorf("node %d: %+v", i, c)
			}
		}
		if n := all[2].RecoveryStats().Parked; n != 2 {
			t.Errorf("%d are kept", n)
		}
		all[2].wantBack(t, vs[1], 2, 3, 4, 5, 6)
		vs[1].cut()
		<-all[2].ends
		all[2].leave(t, time.Second)
		if got := all[2].counted().lapsed[socketio.LapseShutdown]; got != 2 {
			t.Errorf("%d lost: %v", got, all[2].counted().lapsed)
		}
	})
}

// One that dies before it has said that it has a seat, or when it has accepted it,
// does not take it along; one that dies later does.
func TestAdoptByOneThatDies(t *testing.T) {
	for name, when := range map[string][]string{
		"accepting":  {`"what":"accept"`},
		"confirming": {`"what":"adopted"`, `"what":"placed"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all := newWards(t, 3, nil)
				v := all[0].away(t)
				for _, w := range all[1:] {
					w.spy(sync.OnceFunc(func() {
						if !all[1].link.dead() && !all[2].link.dead() {
							w.die()
						}
					}), when...)
				}
				all[0].leave(t, -1)
				heir := all[1]
				if heir.link.dead() {
					heir = all[2]
				}
				heir.wantBack(t, v, 2, 3, 4, 5, 6)
				// Should the other not have been dead after all, it hears that it has
				// nothing.
				for _, w := range all[1:] {
					w.revive()
				}
				time.Sleep(30 * time.Second)
				if n := all[1].RecoveryStats().Parked + all[2].RecoveryStats().Parked; n > 0 {
					t.Errorf("%d are parked on two nodes", n)
				}
				if s := heir.Of("/").Socket(v.sid); s == nil || !s.Connected() {
					t.Error("the client is not connected any more")
				}
				v.cut()
				wantNothing(t, all...)
			})
		})
	}
}

// What was sent after a socket, to one that dies before it has said that it has
// it, nobody knows of: its client begins anew, rather than with a hole.
func TestAdoptInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newWards(t, 2, nil)
		v := all[0].away(t)
		all[1].spy(sync.OnceFunc(func() {
			check(t, all[0].Of("/").To(v.sid).Emit("e", 7))
			all[1].die()
		}), `"what":"adopted"`, `"what":"placed"`)
		all[0].leave(t, -1)
		if c := all[0].counted(); c.lapsed[socketio.LapseLost] != 1 || c.lapsed[socketio.LapseAdopted] > 0 {
			t.Errorf("lapsed %v", c.lapsed)
		}
		wantNothing(t, all[0])
	})
}

func (w *ward) revive() {
	w.link.mu.Lock()
	defer w.link.mu.Unlock()
	w.link.cut, w.link.look = false, nil
}

func (l *wire) dead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

// One that has no room, or not the namespace, or is about to stop itself though
// others don't know that yet, is passed over.
func TestAdoptRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newWards(t, 4, func(i int, o *socketio.Options) {
			if i == 1 {
				o.Recovery.MaxParked = 1
			}
		})
		all[1].away(t)
		for range 8 {
			all[0].away(t)
		}
		if err := all[3].Drain(t.Context(), socketio.DrainOptions{Linger: -1}); err != nil {
			t.Error(err)
		}
		all[0].leave(t, -1)
		if c := all[1].counted(); c.lapsed[socketio.LapseCrowded] > 0 {
			t.Errorf("crowded out: %v", c.lapsed)
		}
		if n := all[2].RecoveryStats().Parked; n != 8 {
			t.Errorf("%d are kept", n)
		}
	})
}

// A socket of a namespace that the heir has not opened yet is adopted as well.
func TestAdoptNamespaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newWards(t, 2, func(_ int, o *socketio.Options) { o.CleanupEmptyNamespaces = true })
		for _, w := range all {
			w.OfFunc(func(_ context.Context, name string, _ *socketio.Handshake) bool { return name == "/chat" })
		}
		v := &visitor{namespace: "/chat,"}
		v.back(all[0].bubble)
		v.cut()
		time.Sleep(time.Second)
		all[0].leave(t, -1)
		sid := v.sid
		v.back(all[1].bubble)
		if !v.recovered || v.sid != sid {
			t.Errorf("not recovered: %v", all[1].counted())
		}
		v.cut()
		wantNothing(t, all...)
	})
}

// A client that comes while its seat is adopted is recovered, once, whichever
// node it asks and whenever.
func TestAdoptRacesWithTake(t *testing.T) {
	for delay := range 12 {
		t.Run(fmt.Sprint(delay), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all := newWards(t, 3, nil)
				for _, w := range all {
					w.spy(func() { time.Sleep(3 * time.Millisecond) }, "") // on its way
				}
				v := all[0].away(t)
				time.Sleep(time.Second)
				var wg sync.WaitGroup
				wg.Go(func() { all[0].leave(t, -1) })
				time.Sleep(time.Duration(2*delay) * time.Millisecond)
				all[1+delay%2].wantBack(t, v, 2, 3, 4, 5, 6)
				wg.Wait()
				n := 0
				for _, w := range all {
					n += w.RecoveryStats().Parked
				}
				if n > 0 {
					t.Errorf("%d are parked still", n)
				}
				v.cut()
				wantNothing(t, all...)
			})
		})
	}
}

// What becomes of the sockets is logged once.
func TestAdoptIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer // of the first node
		all := newWards(t, 2, func(i int, o *socketio.Options) {
			if i == 0 {
				o.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelInfo}))
			}
		})
		v := all[0].away(t)
		all[0].away(t)
		all[0].bus.Drain()
		done := make(chan error)
		go func() { done <- all[0].Drain(t.Context(), socketio.DrainOptions{Linger: time.Second}) }()
		time.Sleep(100 * time.Millisecond)
		v.back(all[1].bubble)
		if err := <-done; err != nil {
			t.Error(err)
		}
		all[0].stop(t)
		if err := all[0].Close(); err != nil {
			t.Error(err)
		}
		if log := said.String(); strings.Count(log, "handed over") != 1 || !strings.Contains(log, "moved=1 adopted=1 lost=0") {
			t.Errorf("logged:\n%s", log)
		}
	})
}
