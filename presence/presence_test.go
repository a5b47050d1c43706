package presence_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/presence"
)

// node is a Tracker and the changes it told.
type node struct {
	bus *broker.Bus
	*presence.Tracker

	mu      sync.Mutex // guards changes
	changes []string
}

func open(t *testing.T, hub *memory.Hub, name string) *node {
	t.Helper()
	bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return hub.Driver(), nil },
		broker.Options{Node: name, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{bus: bus, Tracker: presence.New(bus, presence.Options{})}
	n.Watch(func(c presence.Change) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.changes = append(n.changes, fmt.Sprint(map[bool]string{true: "+", false: "-"}[c.Online], c.User))
	})
	return n
}

func (n *node) close() {
	n.Tracker.Close()
	n.bus.Close()
}

func (n *node) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	got := n.changes
	n.changes = nil
	return got
}

// settle lets messages arrive; five seconds are well within a node's death.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		a, b := open(t, hub, "a"), open(t, hub, "b")
		settle(time.Second)
		want := func(what string, changes ...string) {
			t.Helper()
			settle(time.Second)
			for _, n := range []*node{a, b} {
				if got := n.take(); !slices.Equal(got, changes) {
					t.Errorf("%s: %s told %q, want %q", what, n.bus.Self().Name, got, changes)
				}
			}
		}
		a.Track("alice", "1")
		want("first device", "+alice")
		a.Track("alice", "1")
		want("the same device")
		a.Track("alice", "2")
		b.Track("alice", "3")
		want("more devices")
		for _, n := range []*node{a, b} {
			users := n.Users()
			if len(users) != 1 || users[0].ID != "alice" || users[0].Devices != 3 || !slices.Equal(users[0].Nodes, []string{"a", "b"}) {
				t.Errorf("users %+v", users)
			}
			if !n.Online("alice") || n.Online("bob") {
				t.Error("wrong about who is online")
			}
		}
		a.Untrack("alice", "1")
		a.Untrack("alice", "9")
		b.Untrack("alice", "3")
		want("not the last")
		a.Untrack("alice", "2")
		want("the last", "-alice")
		if users := a.Users(); len(users) != 0 {
			t.Errorf("users %+v, want none", users)
		}

		// A third node learns what there is, and one that leaves takes its own.
		b.Track("bob", "1")
		want("bob", "+bob")
		c := open(t, hub, "c")
		c.Track("carol", "1")
		c.Track("bob", "2")
		want("carol", "+carol")
		if got := c.take(); len(got) != 2 || !slices.Contains(got, "+bob") || !slices.Contains(got, "+carol") {
			t.Errorf("the newcomer told %q", got)
		}
		b.Untrack("bob", "1")
		want("bob is still on c")
		c.close()
		settle(6 * time.Second)
		for _, n := range []*node{a, b} {
			got := n.take()
			slices.Sort(got)
			if !slices.Equal(got, []string{"-bob", "-carol"}) {
				t.Errorf("c left: %s told %q", n.bus.Self().Name, got)
			}
		}
		a.close()
		b.close()
	})
}

// Many users, of a node that another meets later, come in pages.
func TestLargeSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		a := open(t, hub, "a")
		const users = 20_000
		for i := range users {
			a.Track(fmt.Sprintf("user-%06d", i), "1")
		}
		b := open(t, hub, "b")
		settle(2 * time.Second)
		if got := len(b.Users()); got != users {
			t.Errorf("b knows %d users, want %d", got, users)
		}
		a.close()
		settle(6 * time.Second)
		if got := len(b.Users()); got != 0 {
			t.Errorf("b knows %d users of a node that left", got)
		}
		b.close()
	})
}

// Whatever comes and goes, all views end up equal to the truth, and for each
// user changes alternate.
func TestConvergence(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			hub := memory.NewHub()
			nodes := []*node{open(t, hub, "0"), open(t, hub, "1"), open(t, hub, "2")}
			truth := make(map[string]map[string]bool) // user → node/device
			for step := range 400 {
				i := rnd.IntN(len(nodes))
				user, device := fmt.Sprint("u", rnd.IntN(8)), fmt.Sprint(rnd.IntN(3))
				if truth[user] == nil {
					truth[user] = make(map[string]bool)
				}
				key := fmt.Sprint(i, "/", device)
				if rnd.IntN(2) == 0 {
					nodes[i].Track(user, device)
					truth[user][key] = true
				} else {
					nodes[i].Untrack(user, device)
					delete(truth[user], key)
				}
				if rnd.IntN(10) == 0 {
					time.Sleep(time.Duration(rnd.IntN(300)) * time.Millisecond)
				}
				if step%100 == 99 { // a node goes and comes back empty
					nodes[i].close()
					for _, devices := range truth {
						for key := range devices {
							if key[0] == byte('0'+i) {
								delete(devices, key)
							}
						}
					}
					nodes[i] = open(t, hub, fmt.Sprint(i))
				}
			}
			settle(7 * time.Second)
			for i, n := range nodes {
				for user, devices := range truth {
					if n.Online(user) != (len(devices) > 0) {
						t.Errorf("seed %d: node %d has %s online: %v; truth %v", seed, i, user, n.Online(user), devices)
					}
				}
				last := make(map[string]byte)
				for _, c := range n.take() {
					if last[c[1:]] == c[0] || last[c[1:]] == 0 && c[0] == '-' {
						t.Errorf("seed %d: node %d: %s follows %c", seed, i, c, last[c[1:]])
					}
					last[c[1:]] = c[0]
				}
			}
			for _, n := range nodes {
				n.close()
			}
		})
	}
}

func TestWatchCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := open(t, memory.NewHub(), "a")
		heard := 0
		cancel := n.Watch(func(presence.Change) { heard++ })
		n.Track("alice", "1")
		synctest.Wait()
		cancel()
		n.Untrack("alice", "1")
		synctest.Wait()
		if heard != 1 {
			t.Errorf("heard %d changes, want 1", heard)
		}
		n.close()
		n.close()
	})
}
