package edge_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/cmd/carillon/internal/edge"
	"github.com/carillonhq/carillon/presence"
)

var silent = slog.New(slog.DiscardHandler)

// A backEnd hears of edges from all nodes.
type backEnd struct {
	mu    sync.Mutex // guards what follows
	heard []string   // "+anna@a", "-anna@b"
}

// take returns what was heard since the last call, in order.
func (b *backEnd) take() []string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	heard := b.heard
	b.heard = nil
	return heard
}

// wants checks what was heard, whoever told it.
func (b *backEnd) wants(t *testing.T, when string, want ...string) {
	t.Helper()
	var got []string
	for _, h := range b.take() {
		got = append(got, h[:strings.Index(h, "@")])
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: the back end heard %q, want %q", when, got, want)
	}
}

// A node has what it tells queued, and taken at once unless it is stuck.
type node struct {
	name   string
	bus    *broker.Bus
	users  *presence.Tracker
	teller *edge.Teller
	stuck  atomic.Bool // the back end does not answer it
	full   atomic.Bool // its queue is full
	cut    atomic.Bool // nothing passes between it and the broker
	ended  atomic.Bool
	wg     sync.WaitGroup
}

// A cutDriver is a driver whose node can be cut off without a word.
type cutDriver struct {
	broker.Driver
	cut *atomic.Bool
}

func (d cutDriver) Publish(ctx context.Context, topic string, data []byte) error {
	if d.cut.Load() {
		return nil
	}
	return d.Driver.Publish(ctx, topic, data)
}

func (d cutDriver) Subscribe(ctx context.Context, topic string, h broker.Handler) (broker.Subscription, error) {
	return d.Driver.Subscribe(ctx, topic, func(data []byte) {
		if !d.cut.Load() {
			h(data)
		}
	})
}

func open(t *testing.T, hub *memory.Hub, name string, back *backEnd) *node {
	t.Helper()
	n := &node{name: name}
	var err error
	n.bus, err = broker.Open(t.Context(), func(context.Context) (broker.Driver, error) {
		return cutDriver{hub.Driver(), &n.cut}, nil
	}, broker.Options{Node: name, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	n.users = presence.New(n.bus, presence.Options{Logger: silent})
	n.teller = edge.New(n.bus, n.users, edge.Options{Online: true, Offline: true, Logger: silent, Send: func(e edge.Edge) bool {
		if n.full.Load() {
			return false
		}
		if !n.stuck.Load() {
			n.wg.Go(func() { // the request
				sign := "-"
				if e.Online {
					sign = "+"
				}
				back.mu.Lock()
				back.heard = append(back.heard, sign+e.User+"@"+name)
				back.mu.Unlock()
				n.teller.Settled([]edge.Edge{e})
			})
		}
		return true
	}})
	t.Cleanup(n.close)
	return n
}

func (n *node) close() {
	n.ended.Store(true)
	n.teller.Close()
	n.wg.Wait()
	n.users.Close()
	n.bus.Close()
}

// crash ends a node without a word.
func (n *node) crash() {
	n.cut.Store(true)
	n.close()
}

func (n *node) track(t *testing.T, user, device string) *presence.Hold {
	t.Helper()
	h, err := n.users.Track(user, device, presence.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// cluster runs f in a bubble with nodes that have been up for a while.
func cluster(t *testing.T, names string, f func(t *testing.T, hub *memory.Hub, back *backEnd, ns []*node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		hub, back := memory.NewHub(), new(backEnd)
		var ns []*node
		for name := range strings.SplitSeq(names, "") {
			ns = append(ns, open(t, hub, name, back))
		}
		wait(10 * time.Second)
		f(t, hub, back, ns)
		for _, n := range ns {
			if kept := n.teller.Kept(); kept > 0 && !n.ended.Load() {
				t.Errorf("%s keeps %d notes", n.name, kept)
			}
		}
	})
}

// Each edge is told once, whoever holds the device, and all nodes have a share.
func TestOnce(t *testing.T) {
	cluster(t, "abc", func(t *testing.T, _ *memory.Hub, back *backEnd, ns []*node) {
		const users = 60
		var holds []*presence.Hold
		var came, gone []string
		for i := range users {
			user := fmt.Sprint("u", i)
			holds = append(holds, ns[i%3].track(t, user, "d"), ns[(i+1)%3].track(t, user, "other"))
			came, gone = append(came, "+"+user), append(gone, "-"+user)
		}
		wait(time.Second)
		share := map[string]int{}
		back.mu.Lock()
		for _, h := range back.heard {
			share[h[len(h)-1:]]++
		}
		back.mu.Unlock()
		if len(share) != 3 || slices.Min([]int{share["a"], share["b"], share["c"]}) < users/10 {
			t.Errorf("they told %v", share)
		}
		back.wants(t, "all came", came...)
		wait(time.Minute)
		back.wants(t, "later")
		for _, h := range holds {
			h.Leave()
		}
		wait(time.Second)
		back.wants(t, "all left", gone...)
		wait(time.Minute)
		back.wants(t, "much later")
	})
}

// Who is back within the grace, here or elsewhere, was never away.
func TestGrace(t *testing.T) {
	cluster(t, "ab", func(t *testing.T, _ *memory.Hub, back *backEnd, ns []*node) {
		h := ns[0].track(t, "anna", "phone")
		wait(time.Second)
		back.wants(t, "came", "+anna")
		h.Lose()
		wait(5 * time.Second)
		h = ns[1].track(t, "anna", "phone") // the move
		wait(time.Minute)
		back.wants(t, "moved")
		h.Lose()
		wait(7 * time.Second)
		back.wants(t, "in the grace")
		wait(3 * time.Second)
		back.wants(t, "after it", "-anna")
		wait(time.Minute)
		back.wants(t, "later")
	})
}

// teller returns the node that tells of a user: that of a first visit.
func teller(t *testing.T, back *backEnd, ns []*node, user string) *node {
	t.Helper()
	h := ns[0].track(t, user, "d")
	wait(time.Second)
	heard := back.take()
	h.Leave()
	wait(time.Second)
	back.take()
	if len(heard) != 1 {
		t.Fatalf("%s is told of by %q", user, heard)
	}
	return ns[slices.IndexFunc(ns, func(n *node) bool { return strings.HasSuffix(heard[0], "@"+n.name) })]
}

// A node that has an edge to tell and crashes: another one tells.
func TestTellerCrashes(t *testing.T) {
	cluster(t, "abc", func(t *testing.T, _ *memory.Hub, back *backEnd, ns []*node) {
		first := teller(t, back, ns, "anna")
		others := slices.DeleteFunc(slices.Clone(ns), func(n *node) bool { return n == first })
		first.stuck.Store(true)
		h := others[0].track(t, "anna", "phone")
		bob := first.track(t, "bob", "phone")
		_ = bob // goes with its node
		wait(20 * time.Second)
		for _, heard := range back.take() {
			if strings.Contains(heard, "anna") {
				t.Errorf("while the back end did not answer: %q", heard)
			}
		}
		first.crash()
		wait(time.Minute)
		heard := back.take()
		if n := len(slices.DeleteFunc(slices.Clone(heard), func(s string) bool { return !strings.HasPrefix(s, "+anna@") })); n != 1 {
			t.Errorf("after the crash: %q", heard)
		}
		if !slices.ContainsFunc(heard, func(s string) bool { return strings.HasPrefix(s, "-bob@") }) {
			t.Errorf("the user of the crashed node: %q", heard)
		}
		h.Leave()
		wait(time.Second)
		back.wants(t, "she left", "-anna")
	})
}

// A node that stops before the back end took what it has: another one tells.
func TestTellerStops(t *testing.T) {
	cluster(t, "ab", func(t *testing.T, _ *memory.Hub, back *backEnd, ns []*node) {
		first := teller(t, back, ns, "anna")
		other := ns[0]
		if other == first {
			other = ns[1]
		}
		first.stuck.Store(true)
		other.track(t, "anna", "phone")
		wait(time.Second)
		back.wants(t, "not taken")
		first.users.Drain()
		first.bus.Drain()
		wait(time.Second)
		back.wants(t, "it has it still")
		for range 5 { // a draining node tells of nobody
			h := other.track(t, "carol", "phone")
			wait(time.Second)
			h.Leave()
			wait(time.Second)
			if heard := back.take(); len(heard) != 2 || heard[0] != "+carol@"+other.name || heard[1] != "-carol@"+other.name {
				t.Errorf("while it drains: %q", heard)
			}
		}
		first.close()
		wait(time.Second)
		back.wants(t, "it has stopped", "+anna")
		wait(time.Minute)
		back.wants(t, "later")
	})
}

// A node whose queue is full leaves it to the next one.
func TestTellerIsFull(t *testing.T) {
	cluster(t, "abc", func(t *testing.T, _ *memory.Hub, back *backEnd, ns []*node) {
		first := teller(t, back, ns, "anna")
		first.full.Store(true)
		ns[0].track(t, "anna", "phone")
		wait(edge.Patience - time.Second)
		back.wants(t, "before its time")
		wait(2 * time.Second)
		back.wants(t, "after it", "+anna")
		wait(time.Minute)
		back.wants(t, "later")
	})
}

// A node that starts learns who is here, and tells of nobody but its own.
func TestNewcomer(t *testing.T) {
	cluster(t, "a", func(t *testing.T, hub *memory.Hub, back *backEnd, ns []*node) {
		for i := range 50 {
			ns[0].track(t, fmt.Sprint("u", i), "d")
		}
		wait(time.Second)
		if n := len(back.take()); n != 50 {
			t.Errorf("%d came", n)
		}
		b := open(t, hub, "b", back)
		b.track(t, "anna", "phone")
		b.track(t, "u7", "phone")
		wait(time.Minute)
		back.wants(t, "of the newcomer", "+anna")
	})
}

// A node by itself tells of its users, the first ones, too.
func TestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, back := memory.NewHub(), new(backEnd)
		a := open(t, hub, "a", back)
		h := a.track(t, "anna", "phone")
		wait(6 * time.Second)
		back.wants(t, "once it has looked around", "+anna")
		h.Leave()
		wait(100 * time.Millisecond)
		back.wants(t, "at once", "-anna")
	})
}

// A node that is cut off for long: its users are told to be gone, and to be
// back. Nothing is missed, perhaps something is told twice.
func TestCutOff(t *testing.T) {
	cluster(t, "ab", func(t *testing.T, _ *memory.Hub, back *backEnd, ns []*node) {
		a, b := ns[0], ns[1]
		for i := range 20 {
			b.track(t, fmt.Sprint("u", i), "d")
		}
		wait(time.Second)
		back.take()
		b.cut.Store(true)
		wait(30 * time.Second)
		heard := back.take()
		for i := range 20 {
			if !slices.Contains(heard, fmt.Sprintf("-u%d@a", i)) {
				t.Errorf("u%d is not told to be gone", i)
			}
		}
		during := a.track(t, "anna", "phone")
		carol := b.track(t, "carol", "phone")
		wait(20 * time.Second)
		heard = back.take()
		for _, user := range []string{"anna", "carol"} {
			if !slices.ContainsFunc(heard, func(s string) bool { return strings.HasPrefix(s, "+"+user) }) {
				t.Errorf("%s came meanwhile: %q", user, heard)
			}
		}
		b.cut.Store(false)
		wait(time.Minute)
		last := map[string]string{}
		for _, h := range back.take() {
			last[h[1:strings.Index(h, "@")]] = h[:1]
		}
		for i := range 20 {
			if last[fmt.Sprint("u", i)] != "+" {
				t.Errorf("u%d is not told to be back", i)
			}
		}
		during.Leave()
		carol.Leave()
		wait(time.Minute)
		heard = back.take()
		for _, user := range []string{"anna", "carol"} {
			if !slices.ContainsFunc(heard, func(s string) bool { return strings.HasPrefix(s, "-"+user) }) {
				t.Errorf("%s left: %q", user, heard)
			}
		}
	})
}

// Only the edges that are wanted are told, each time.
func TestOneKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, err := broker.Open(t.Context(), memory.Open, broker.Options{Logger: silent})
		if err != nil {
			t.Fatal(err)
		}
		defer bus.Close()
		users := presence.New(bus, presence.Options{Logger: silent})
		defer users.Close()
		var told []edge.Edge
		teller := edge.New(bus, users, edge.Options{Online: true, Logger: silent, Send: func(e edge.Edge) bool {
			told = append(told, e)
			return true
		}})
		defer teller.Close()
		for range 3 {
			h, err := users.Track("anna", "phone", presence.Meta{})
			if err != nil {
				t.Fatal(err)
			}
			wait(10 * time.Second)
			h.Leave()
			wait(10 * time.Second)
		}
		if want := (edge.Edge{User: "anna", Online: true}); len(told) != 3 || told[0] != want || told[2] != want {
			t.Errorf("told %v", told)
		}
	})
}
