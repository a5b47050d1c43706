package presence_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/presence"
)

// The users of a node that crashed go offline in time; who has come back
// elsewhere was never away.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		var detected time.Duration
		a := openWith(t, hub, "a", presence.Options{Hooks: presence.Hooks{
			Detected: func(_ broker.Member, after time.Duration, users int) {
				if detected = after; users != 1 {
					t.Errorf("%d users are offline, want 1", users)
				}
			},
		}})
		b, c := open(t, hub, "b"), open(t, hub, "c")
		wait(2 * time.Second)
		b.track(t, "anna", "phone")
		b.track(t, "bob", "phone")
		wait(5 * time.Second)
		a.wants(t, "came", "+anna", "+bob")
		b.crash()
		wait(6500 * time.Millisecond)
		if ds := a.Devices("anna"); len(ds) != 1 || !ds[0].Down {
			t.Errorf("six seconds after the crash: %+v", ds)
		}
		c.track(t, "bob", "phone")
		a.wants(t, "in the grace")
		wait(3500 * time.Millisecond)
		a.wants(t, "ten seconds after", "-anna")
		c.wants(t, "ten seconds after", "+anna", "+bob", "-anna")
		if detected < 7*time.Second || detected > 10*time.Second {
			t.Errorf("detected after %v", detected)
		}
		if nodes, _, _ := a.Kept(); nodes != 1 {
			t.Errorf("%d nodes are kept", nodes)
		}
	})
}

// Nodes are replaced one after the other; their clients come back elsewhere
// inside the grace. Nobody is told anything.
func TestRollingRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		watcher := open(t, hub, "w")
		ns := []*node{open(t, hub, "0"), open(t, hub, "1"), open(t, hub, "2")}
		wait(3 * time.Second)
		const users = 50
		holds := make([]*presence.Hold, users)
		on := make([]int, users)
		for i := range holds {
			on[i] = i % 3
			holds[i] = ns[on[i]].track(t, fmt.Sprint("u", i), "d")
		}
		wait(time.Second)
		watcher.take()
		rnd := rand.New(rand.NewPCG(1, 1))
		for k, n := range ns {
			n.Drain()
			wait(500 * time.Millisecond)
			if i := slices.IndexFunc(watcher.Nodes(), func(m presence.Node) bool { return m.ID == n.bus.Self().ID }); !watcher.Nodes()[i].Draining {
				t.Errorf("node %d does not drain", k)
			}
			var moved []int
			for i := range holds {
				if on[i] == k {
					if i%2 == 0 {
						holds[i].Lose() // the others are held until the end
					}
					moved = append(moved, i)
				}
			}
			n.close()
			next := open(t, hub, fmt.Sprint(k))
			wait(time.Duration(rnd.IntN(5000)) * time.Millisecond)
			for _, i := range moved {
				on[i] = (k + 1 + i%2) % 3
				to := ns[on[i]]
				if on[i] == k {
					to = next
				}
				holds[i] = to.track(t, fmt.Sprint("u", i), "d")
			}
			ns[k] = next
			wait(12 * time.Second)
		}
		watcher.wants(t, "all restarted")
		if c := watcher.Counts(); c.Users != users || c.Devices != users || c.Nodes != 4 {
			t.Errorf("counts %+v", c)
		}
	})
}

// A node that is cut off declares nobody offline, and says that it is stale.
func TestCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		a, b := open(t, hub, "a"), open(t, hub, "b")
		wait(3 * time.Second)
		a.WatchState(func(s presence.State) { a.note("%v", s) })
		b.track(t, "anna", "phone")
		here := a.track(t, "bob", "phone")
		wait(5 * time.Second)
		a.wants(t, "came", "+anna", "+bob")
		a.f.set(func(f *faults) { f.mute, f.deaf = true, true })
		wait(20 * time.Second)
		here.Leave() // its own it knows
		wait(40 * time.Second)
		a.wants(t, "cut off", "cut off", "-bob")
		if a.State() != presence.CutOff || !a.Online("anna") {
			t.Errorf("state %v, anna is online: %v", a.State(), a.Online("anna"))
		}
		b.wants(t, "the other one", "+anna", "+bob", "-bob")
		a.f.calm()
		wait(8 * time.Second)
		if told := a.take(); len(told) == 0 || told[len(told)-1] != "synced" || len(told) > 2 {
			t.Errorf("heard again: a told %q", told)
		}
		b.wants(t, "the other one")
	})
}

// What the Bus had to give up is asked for: the latest changes, or those
// shards that differ.
func TestRepair(t *testing.T) {
	for _, c := range []struct {
		name     string
		changes  int
		min, max int // devices told
	}{{"a range", 100, 101, 101}, {"one shard of 64", 20_000, 1, 50}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := memory.NewHub()
				served := make(chan int, 10)
				a := openWith(t, hub, "a", presence.Options{Grace: time.Minute, Hooks: presence.Hooks{
					Served: func(_ broker.Member, devices, _ int) { served <- devices },
				}})
				b := open(t, hub, "b")
				wait(3 * time.Second)
				for i := range 1000 {
					a.track(t, fmt.Sprint("user-", i), "d")
				}
				wait(time.Second)
				for len(served) > 0 {
					<-served
				}
				a.f.set(func(f *faults) { f.mute = true })
				h := a.track(t, "anna", "phone")
				for range c.changes {
					if err := h.Update(presence.Meta{Status: fmt.Sprint("s", rand.IntN(100))}); err != nil {
						t.Fatal(err)
					}
				}
				wait(40 * time.Second) // the Bus keeps what it said for 30 s
				a.f.calm()
				wait(8 * time.Second)
				x, _ := a.Get("anna")
				y, _ := b.Get("anna")
				if x[0].Status != y[0].Status || b.Counts().Users != 1001 {
					t.Errorf("a has %+v, b has %+v of %+v", x, y, b.Counts())
				}
				if wrong := b.Sound(); wrong != "" {
					t.Error(wrong)
				}
				if n := len(served); n != 1 {
					t.Fatalf("%d questions were answered", n)
				}
				if n := <-served; n < c.min || n > c.max {
					t.Errorf("%d devices were told, want %d to %d", n, c.min, c.max)
				}
			})
		})
	}
}
