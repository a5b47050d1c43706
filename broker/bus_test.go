package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

func TestMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{})
		ok(t, x.Broadcast("a", []byte("1")))
		ok(t, x.Send(y.Self().ID, "b", []byte("2")))
		ok(t, x.Broadcast("nobody's", []byte("3")))
		ok(t, x.Broadcast("a", []byte("4")))
		equal(t, y.take(), "x: 1", "x: 2", "x: 4")
		equal(t, x.take())
		ok(t, x.Close())
		equal(t, y.take(), "x down")
		if ms := y.Members(); len(ms) != 0 {
			t.Errorf("got members %v", ms)
		}
	})
}

// What follows NodeUp arrives, from the first message on.
func TestFirstWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		x := start(t, hub, "x", broker.Options{})
		x.Watch(func(ev broker.Event) {
			if ev.Kind == broker.NodeUp {
				x.Send(ev.Node.ID, "a", []byte("welcome "+ev.Node.Name))
				x.Broadcast("a", []byte(ev.Node.Name+" is here"))
			}
		})
		for i := range 20 {
			x.Broadcast("a", []byte("before")) // for those who are there
			name := fmt.Sprintf("y%02d", i)
			y := startLate(t, hub, name)
			time.Sleep(200 * time.Millisecond)
			h := y.take()
			if i := slices.Index(h, "x up"); i < 0 || len(h) < i+3 {
				t.Fatalf("got %q", h)
			}
			h = slices.DeleteFunc(h, func(s string) bool { return !strings.HasPrefix(s, "x") })
			equal(t, h, "x up", "x: welcome "+name, "x: "+name+" is here")
		}
	})
}

func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{})
		ok(t, y.Broadcast("a", []byte("last")))
		synctest.Wait()
		y.faults.set(func(f *faults) { f.mute, f.deaf = true, true })
		time.Sleep(4500 * time.Millisecond)
		equal(t, x.take(), "y: last")
		time.Sleep(2 * time.Second)
		equal(t, x.take(), "y down")
		equal(t, y.take(), "frozen")
		if len(y.Members()) != 1 {
			t.Error("the node that is cut off declared the other down")
		}
		if err := x.Send(y.Self().ID, "a", nil); !errors.Is(err, broker.ErrUnknownNode) {
			t.Errorf("got %v, want ErrUnknownNode", err)
		}

		// What it misses now, it gets when it returns.
		ok(t, x.Broadcast("a", []byte("missed")))
		y.faults.set(func(f *faults) { f.mute, f.deaf = false, false })
		time.Sleep(3 * time.Second)
		ok(t, x.Broadcast("a", []byte("again")))
		ok(t, y.Broadcast("a", []byte("back")))
		equal(t, x.take(), "y up", "y: back")
		h := slices.DeleteFunc(y.take(), func(s string) bool { return s == "thawed" })
		equal(t, h, "x: missed", "x: again")
	})
}

func TestRestartUnderOldName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		x := start(t, hub, "x", broker.Options{})
		old := start(t, hub, "y", broker.Options{})
		time.Sleep(10 * time.Second)
		old.faults.set(func(f *faults) { f.mute, f.deaf = true, true })
		x.take()
		young := start(t, hub, "y", broker.Options{})
		h := x.take()
		slices.Sort(h) // two IDs are two nodes: their events have no order
		equal(t, h, "y down", "y up")
		if ms := x.Members(); len(ms) != 1 || ms[0] != young.Self() {
			t.Errorf("got members %v, want %v", ms, young.Self())
		}
		// The former self, should it live, is not let in again.
		old.faults.set(func(f *faults) { f.mute, f.deaf = false, false })
		time.Sleep(10 * time.Second)
		equal(t, x.take())
		// But when the younger one is gone it is.
		ok(t, young.Close())
		time.Sleep(2 * time.Second)
		if ms := x.Members(); len(ms) != 1 || ms[0] != old.Self() {
			t.Errorf("got members %v, want %v", ms, old.Self())
		}
	})
}

func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{})
		all := func(away bool) {
			for _, n := range []*node{x, y} {
				n.faults.set(func(f *faults) { f.away = away })
			}
		}
		all(true)
		var want []string
		for i := range 500 {
			if i%3 == 0 {
				ok(t, x.Send(y.Self().ID, "a", fmt.Append(nil, i)))
			} else {
				ok(t, x.Broadcast("b", fmt.Append(nil, i)))
			}
			want = append(want, fmt.Sprint("x: ", i))
			time.Sleep(20 * time.Millisecond)
		}
		h := y.take()
		slices.Sort(h) // a beat may come a little earlier or later
		equal(t, h, "frozen", "state degraded", "state down")
		if s := x.State(); s != broker.Degraded {
			t.Errorf("got state %v, want degraded", s)
		}
		all(false)
		time.Sleep(500 * time.Millisecond)
		h = slices.DeleteFunc(y.take(), func(s string) bool { return s == "thawed" || s == "state up" })
		equal(t, h, want...)
		if s := x.State(); s != broker.Up {
			t.Errorf("got state %v, want up", s)
		}
		time.Sleep(20 * time.Second)
		for _, s := range append(x.take(), y.take()...) {
			if strings.Contains(s, "gap") || strings.Contains(s, "down") && !strings.HasPrefix(s, "state") {
				t.Errorf("after the outage: %s", s)
			}
		}
	})
}

func TestBrokerAppearsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		x := start(t, hub, "x", broker.Options{})
		x.take()
		var tries int
		var mu sync.Mutex
		var links []broker.Link
		begin := time.Now()
		b, err := broker.Open(t.Context(), func(ctx context.Context) (broker.Driver, error) {
			mu.Lock()
			defer mu.Unlock()
			if tries++; tries <= 13 {
				return nil, errAway
			}
			return hub.Driver(), nil
		}, broker.Options{Node: "y", Logger: silent, Hooks: broker.Hooks{Link: func(l broker.Link) { links = append(links, l) }}})
		ok(t, err)
		y := &node{Bus: b}
		y.listen()
		defer y.Close()
		if s := y.State(); s != broker.Connecting {
			t.Errorf("got state %v, want connecting", s)
		}
		ok(t, y.Broadcast("a", []byte("to nobody")))
		time.Sleep(5600 * time.Millisecond) // 100+200+…+1000 ms: ten retries
		if s := y.State(); s != broker.Degraded {
			t.Errorf("after ten retries: got state %v, want degraded", s)
		}
		for y.State() != broker.Up {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(begin).Round(time.Second); took != 15*time.Second { // 5.5 s and three times 3 s
			t.Errorf("joined after %v, want 15s", took)
		}
		told := y.take()
		for i, l := range links {
			if want := i == 13; l.Up != want || !want && (l.Attempt != i+1 || l.Err != errAway) {
				t.Errorf("the hook was told %+v at %d", l, i)
			}
		}
		slices.Sort(told) // what it hears of itself and of x may cross
		equal(t, told, "state degraded", "state up", "x up")
		equal(t, x.take(), "y up")
	})
}

func TestLoss(t *testing.T) {
	for _, what := range []string{"broadcast", "direct", "tail", "direct tail"} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x, y := pair(t, broker.Options{})
				ok(t, x.Broadcast("a", []byte("1")))
				synctest.Wait()
				x.faults.set(func(f *faults) { f.mute = true })
				if strings.HasPrefix(what, "direct") {
					ok(t, x.Send(y.Self().ID, "a", []byte("2")))
				} else {
					ok(t, x.Broadcast("a", []byte("2")))
				}
				synctest.Wait()
				x.faults.set(func(f *faults) { f.mute = false })
				want := []string{"x: 1", "x: 2"}
				if !strings.HasSuffix(what, "tail") {
					ok(t, x.Broadcast("b", []byte("3")))
					ok(t, x.Send(y.Self().ID, "b", []byte("4")))
					want = append(want, "x: 3", "x: 4")
				}
				time.Sleep(1200 * time.Millisecond) // at the latest with the next beat
				equal(t, y.take(), want...)
				ok(t, x.Broadcast("b", []byte("5")))
				equal(t, y.take(), "x: 5")
			})
		})
	}
}

// A message may be much later than one after it, if they go to different
// topics. Nothing is lost then, so nothing may be given up.
func TestTopicsApart(t *testing.T) {
	for _, slow := range []string{".all", ".node."} {
		t.Run(slow, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x, y := pair(t, broker.Options{})
				y.faults.set(func(f *faults) {
					f.delay = func(topic string) time.Duration {
						if strings.Contains(topic, slow) {
							return 700 * time.Millisecond
						}
						return 0
					}
				})
				var want []string
				for i := range 40 {
					if i%2 == 0 {
						ok(t, x.Send(y.Self().ID, "a", fmt.Append(nil, i)))
					} else {
						ok(t, x.Broadcast("b", fmt.Append(nil, i)))
					}
					want = append(want, fmt.Sprint("x: ", i))
				}
				time.Sleep(time.Minute)
				h := slices.DeleteFunc(y.take(), func(s string) bool { return s == "frozen" || s == "thawed" })
				equal(t, h, want...)
			})
		})
	}
}

// Duplicates, publishes of unknown outcome and topics that run apart change
// nothing: everything comes once and in order.
func TestBadWeather(t *testing.T) {
	for seed := range 20 {
		synctest.Test(t, func(t *testing.T) {
			hub := memory.NewHub()
			var nodes []*node
			for i := range 3 {
				n := start(t, hub, fmt.Sprint("n", i), broker.Options{})
				n.faults.set(func(f *faults) {
					f.rand.Uint64()
					for range seed {
						f.rand.Uint64()
					}
					f.twice, f.unknown = 0.1, 0.1
					f.delay = func(string) time.Duration { return time.Duration(f.rand.IntN(30)) * time.Millisecond }
				})
				nodes = append(nodes, n)
			}
			time.Sleep(3 * time.Second)
			want := make([][]string, 9) // from i at j
			for _, n := range nodes {
				n.take()
			}
			for i, n := range nodes {
				for _, o := range nodes {
					if len(o.Members()) != 2 {
						t.Fatalf("%s knows %v", o.Self().Name, o.Members())
					}
				}
				for k := range 300 {
					to := (i + 1 + k%2) % 3
					s := fmt.Sprintf("n%d: %d", i, k)
					if k%3 == 0 {
						ok(t, n.Send(nodes[to].Self().ID, "a", fmt.Append(nil, k)))
						want[i*3+to] = append(want[i*3+to], s)
					} else {
						ok(t, n.Broadcast("b", fmt.Append(nil, k)))
						for to := range 3 {
							want[i*3+to] = append(want[i*3+to], s)
						}
					}
					if k%10 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			}
			time.Sleep(20 * time.Second)
			for j, n := range nodes {
				got := n.take()
				for i := range nodes {
					if i == j {
						continue
					}
					var from []string
					for _, s := range got {
						if strings.HasPrefix(s, nodes[i].Self().Name) {
							from = append(from, s)
						}
					}
					if !slices.Equal(from, want[i*3+j]) {
						t.Errorf("seed %d, from n%d at n%d: got %d messages %.300q\nwant %d", seed, i, j, len(from), from, len(want[i*3+j]))
					}
				}
			}
		})
	}
}

func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		var mu sync.Mutex
		var envelopes, messages int
		y := start(t, hub, "y", broker.Options{})
		slow, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) {
			return slowDriver{hub.Driver()}, nil
		}, broker.Options{Node: "x", Logger: silent, Hooks: broker.Hooks{Published: func(n, _ int, took time.Duration, err error) {
			mu.Lock()
			defer mu.Unlock()
			if n > 0 {
				envelopes++
				messages += n
			}
			if took != 5*time.Millisecond || err != nil {
				t.Errorf("got %v, %v", took, err)
			}
		}}})
		ok(t, err)
		defer slow.Close()
		time.Sleep(time.Second)
		y.take()
		for i := range 1000 {
			ok(t, slow.Broadcast("a", fmt.Append(nil, i)))
		}
		time.Sleep(100 * time.Millisecond)
		if n := len(y.take()); n != 1000 {
			t.Errorf("got %d messages, want 1000", n)
		}
		mu.Lock()
		defer mu.Unlock()
		if messages != 1000 || envelopes > 3 {
			t.Errorf("%d messages went in %d envelopes, want 1000 in at most 3", messages, envelopes)
		}
	})
}

type slowDriver struct{ broker.Driver }

func (d slowDriver) Publish(ctx context.Context, topic string, data []byte) error {
	time.Sleep(5 * time.Millisecond)
	return d.Driver.Publish(ctx, topic, data)
}

func TestOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refused int
		x, y := pair(t, broker.Options{Buffer: 10 << 10, Hooks: broker.Hooks{Overflow: func(ch string, n int) {
			if ch != "a" || n != 1000 {
				t.Errorf("got %q, %d", ch, n)
			}
			refused++
		}}})
		x.faults.set(func(f *faults) { f.away = true })
		sent := 0
		for range 20 {
			switch err := x.Broadcast("a", make([]byte, 1000)); {
			case err == nil:
				sent++
			case !errors.Is(err, broker.ErrOverflow):
				t.Errorf("got %v, want ErrOverflow", err)
			}
		}
		if sent != 9 || refused != 11 {
			t.Errorf("%d were taken and %d refused, want 9 and 11", sent, refused)
		}
		x.faults.set(func(f *faults) { f.away = false })
		time.Sleep(time.Second)
		if n := len(y.take()); n != sent {
			t.Errorf("%d came, want %d", n, sent)
		}
		ok(t, x.Broadcast("a", make([]byte, 1000)))
		if err := x.Broadcast("a", make([]byte, broker.MaxBody+1)); !errors.Is(err, broker.ErrTooLarge) {
			t.Errorf("got %v, want ErrTooLarge", err)
		}
		if err := x.Broadcast(strings.Repeat("c", broker.MaxChannel+1), nil); !errors.Is(err, broker.ErrTooLarge) {
			t.Errorf("got %v, want ErrTooLarge", err)
		}
	})
}

func TestBodyIsCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{})
		x.faults.set(func(f *faults) { f.away = true })
		body := []byte("good")
		ok(t, x.Broadcast("a", body))
		copy(body, "evil")
		x.faults.set(func(f *faults) { f.away = false })
		time.Sleep(time.Second)
		equal(t, y.take(), "x: good")
	})
}

func TestPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{})
		y.Handle("p", func(broker.Message) { panic("handler") })
		y.Respond("p", func(broker.Message) ([]byte, error) { panic("responder") })
		y.Watch(func(broker.Event) { panic("watcher") })
		ok(t, x.Broadcast("p", nil))
		g, err := x.Request("p", nil)
		ok(t, err)
		refused := new(broker.RefusedError)
		if as := g.Wait(t.Context()); len(as) != 1 || !errors.As(as[0].Err, &refused) {
			t.Errorf("got %v, want a refusal", as)
		}
		ok(t, x.Broadcast("a", []byte("on")))
		equal(t, y.take(), "x: on")
		x.Close()
		equal(t, y.take(), "x down")
	})
}

func TestOptions(t *testing.T) {
	for _, o := range []broker.Options{{Cluster: "a b"}, {Cluster: strings.Repeat("c", 65)}, {Node: strings.Repeat("n", 256)}, {Capabilities: 1 << 31}} {
		if _, err := broker.Open(t.Context(), memory.Open, o); err == nil {
			t.Errorf("%v was accepted", o)
		}
	}
	b, err := broker.Open(t.Context(), memory.Open, broker.Options{Logger: silent})
	ok(t, err)
	if got, want := b.Self().Name, "node-"+b.Self().ID.Short(); got != want {
		t.Errorf("got name %q, want %q", got, want)
	}
	if s := b.Self().ID.String(); len(s) != 22 || !strings.HasPrefix(s, b.Self().ID.Short()) || len(b.Self().ID.Short()) != 8 {
		t.Errorf("got ID %s, short %s", s, b.Self().ID.Short())
	}
	for range 2 {
		ok(t, b.Close())
	}
}

func TestRetry(t *testing.T) {
	var r broker.Retry
	for n, want := range map[int]time.Duration{1: 100 * time.Millisecond, 10: time.Second, 11: 3 * time.Second, 1 << 40: 3 * time.Second} {
		if got := r.Wait(n); got != want {
			t.Errorf("wait before retry %d: got %v, want %v", n, got, want)
		}
	}
	r = broker.Retry{Base: time.Second, Max: 2 * time.Second, Retries: 100}
	for n, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 50: 2 * time.Second} {
		if got := r.Wait(n); got != want {
			t.Errorf("wait before retry %d: got %v, want %v", n, got, want)
		}
	}
}

// A message bears the number that Say returned, for whoever gets it, one part or
// many.
func TestNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{})
		numbers := make(chan uint64, 10)
		y.Handle("c", func(m broker.Message) { numbers <- m.Number })
		y.Respond("c", func(m broker.Message) ([]byte, error) { numbers <- m.Number; return nil, nil })
		last := uint64(0)
		for _, say := range []func() (uint64, error){
			func() (uint64, error) { return x.Say("c", nil) },
			func() (uint64, error) { return x.SayTo(y.Self().ID, "c", nil) },
			func() (uint64, error) { return x.Say("c", make([]byte, 1<<20)) },
			func() (uint64, error) { g, err := x.Request("c", nil); return g.Number(), err },
			func() (uint64, error) { g, err := x.Request("c", nil, y.Self().ID); return g.Number(), err },
		} {
			said, err := say()
			if got := <-numbers; err != nil || got != said || got <= last {
				t.Errorf("said %d, %v; heard %d, behind %d", said, err, got, last)
			}
			last = said
		}
	})
}
