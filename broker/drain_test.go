package broker_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// Who drains tells it at once, goes on as before, and is known for it by those
// who come later.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		x, y := start(t, hub, "x", broker.Options{}), start(t, hub, "y", broker.Options{})
		time.Sleep(time.Second)
		x.take()
		y.take()
		x.Drain()
		x.Drain()
		synctest.Wait()
		equal(t, x.take(), "node draining")
		equal(t, y.take(), "node draining")
		if !x.Self().Draining || y.Self().Draining {
			t.Errorf("got %+v and %+v", x.Self(), y.Self())
		}
		z := start(t, hub, "z", broker.Options{})
		time.Sleep(2 * time.Second) // and no beat tells it again
		y.take()
		if h := z.take(); slices.Contains(h, "node draining") {
			t.Errorf("got %q", h)
		}
		for _, n := range []*node{y, z} {
			for _, m := range n.Members() {
				if m.Draining != (m.Name == "x") {
					t.Errorf("%s sees %+v", n.Self().Name, m)
				}
			}
			if m, _ := n.Lookup(x.Self().ID.Short()); !m.Draining {
				t.Errorf("%s looks up %+v", n.Self().Name, m)
			}
		}
		ok(t, x.Broadcast("a", []byte("still here")))
		equal(t, y.take(), "x: still here")
		ok(t, y.Send(x.Self().ID, "a", []byte("good")))
		equal(t, x.take(), "z up", "y: good")
	})
}

// The beat that tells it is lost: the next one tells it too.
func TestDrainIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{})
		x.faults.set(func(f *faults) { f.mute = true })
		x.Drain()
		synctest.Wait()
		x.faults.set(func(f *faults) { f.mute = false })
		equal(t, y.take())
		time.Sleep(2 * time.Second)
		equal(t, y.take(), "node draining")
	})
}

// A beat may come between two parts of a message, which must not suffer.
func TestDrainInAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{Compression: broker.Compression{Off: true}})
		topic := y.Self().ID.String()
		x.faults.set(func(f *faults) { f.pause, f.paused = make(chan struct{}), topic })
		ok(t, x.Send(y.Self().ID, "a", []byte(strings.Repeat("z", 1<<20)))) // several envelopes
		y.faults.set(func(f *faults) {
			f.delay = func(topic string) time.Duration {
				if strings.Contains(topic, ".node.") {
					return 10 * time.Millisecond
				}
				return 0
			}
		})
		x.faults.set(func(f *faults) { close(f.pause); f.pause = nil })
		time.Sleep(15 * time.Millisecond)
		x.Drain()
		time.Sleep(time.Second)
		got := y.take()
		if len(got) != 2 || got[0] != "node draining" || len(got[1]) != len("x: ")+1<<20 {
			t.Errorf("got %d things: %.60q", len(got), got)
		}
	})
}
