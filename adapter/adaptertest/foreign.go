package adaptertest

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
)

// channel is what adapters say things on.
const channel = "adapter"

// What is malformed is dropped, counted and, if it asks, refused.
func malformed(t *testing.T, r *rig) {
	n := r.start(2)
	told := []string{
		"", "\x01", "\x7f\x00\x01/\x00\x00", "\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f/",
		"\x01\x00\x01/\xff\xff\xff\xff\x0f", "\x05\x00\x01/\x00\x00\x01", "\x06\x00\x01/\x00\x00\x02\x01r",
		"\x09\x00\x00\x00\x00", "\x09\x00\x00\x00\x00\x01\x00\x09", "\x0a\x00\x00\x00\x00\x01\x01", "\x0a\x00\x00\x00\x00\x80",
	}
	for _, b := range told {
		must(t, n[1].bus.Broadcast(channel, []byte(b)))
	}
	asked := []string{"", "nonsense", "\x03\x00\x01/\x00\x00", "\x03\x00\x01/\x00\x00\x01\x01", "\x08\x00\x01/\x00\x00", "\x0b\x00\x01/\x00\x00\x80", "\x0c\x00\x00\x00\x00", "\x0e\x00\x01/\x00\x00"}
	for _, b := range asked {
		g, err := n[1].bus.Request(channel, []byte(b))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range g.Wait(r.ctx()) {
			if _, ok := errors.AsType[*broker.RefusedError](a.Err); !ok {
				t.Errorf("%q: got %q, %v; want a refusal", b, a.Body, a.Err)
			}
		}
	}
	for i := range len(told) + len(asked) {
		select {
		case from := <-n[0].malformed:
			if from != "n1" {
				t.Errorf("malformed: got %q, want n1", from)
			}
		case <-time.After(patience):
			t.Fatalf("%d messages counted as malformed, want %d", i, len(told)+len(asked))
		}
	}
	if got := n[0].socket.Take(); got != nil {
		t.Errorf("a socket got %q", got)
	}
	r.wantAll(n[0], patience, []string{"n0", "n1"}, nil)
}

// Two clusters on one broker never hear each other.
func twoClusters(t *testing.T, r *rig) {
	drivers := r.open(t, 4)
	name := "test-" + fmt.Sprint(time.Now().UnixNano())
	a, b := r.startOver(drivers[:2], name), r.startOver(drivers[2:], name+"-2")
	for i, x := range [][]*node{a, b} {
		must(t, x[0].Broadcast(everybody, packet(fmt.Sprint(i))))
		must(t, x[0].JoinAll(everybody, adapter.Room(fmt.Sprint("joined ", i))))
		r.wantAll(x[0], patience, []string{"n0", "n1"}, nil)
	}
	for i, x := range [][]*node{a, b} {
		for _, n := range x {
			got := n.socket.Take()
			if !slices.Contains(got, fmt.Sprint(i)) || slices.Contains(got, fmt.Sprint(1-i)) {
				t.Errorf("cluster %d got %q", i, got)
			}
			if rooms := n.Rooms(n.socket.id); len(rooms) != 3 {
				t.Errorf("cluster %d: the socket is in %q", i, rooms)
			}
		}
	}
}

// A node of an earlier version refuses what it does not know, and is named; one
// of a later version says what nobody knows, and harms nobody.
func otherVersions(t *testing.T, r *rig) {
	n := r.start(3)
	n[2].bus.Respond(channel, func(m broker.Message) ([]byte, error) {
		if m.Body[0] == 4 { // a count
			return []byte{7}, nil
		}
		return nil, errors.New("what is this?")
	})
	n[2].bus.Handle(channel, func(broker.Message) {})
	if count, err := n[0].Count(r.ctx(), everybody); err != nil || count != 2+7 {
		t.Errorf("got %d, %v; want 9", count, err)
	}
	infos, err := n[0].Fetch(r.ctx(), everybody)
	if refused, ok := errors.AsType[*broker.RefusedError](err); !ok || refused.Text != "what is this?" || len(infos) != 2 {
		t.Errorf("fetch: got %d sockets, %v", len(infos), err)
	}
	answers, err := n[0].AskNodes(r.ctx(), []byte("?"))
	if partial, ok := errors.AsType[*adapter.PartialError](err); !ok || len(answers) != 1 || partial.Missing[0].Node != "n2" {
		t.Errorf("nodes: got %v, %v", answers, err)
	}

	must(t, n[2].bus.Broadcast(channel, []byte("\xc8\x00\x01/\x00\x00later")))     // an unknown kind
	must(t, n[2].bus.Broadcast(channel, []byte("\x01\xf0\x01/\x00\x00flagged")))   // unknown flags
	must(t, n[2].bus.Broadcast("adapter.next", []byte("on a channel of its own"))) // unknown channel
	r.until("a broadcast with unknown flags", func() bool {
		return slices.Contains(n[0].socket.Take(), "flagged")
	})
	if from := <-n[0].malformed; from != "n2" {
		t.Errorf("malformed: got %q, want n2", from)
	}
}

// A namespace that only some nodes have opened is no error to anybody.
func someNodes(t *testing.T, r *rig) {
	n := r.start(3)
	a, b := n[0].cluster.Namespace("/only"), n[1].cluster.Namespace("/only")
	s := []*Socket{NewSocket(a), NewSocket(b)}
	a.Add(s[0])
	b.Add(s[1], "x")
	must(t, a.Broadcast(everybody, packet("only")))
	must(t, a.TellNodes([]byte("told")))
	if infos, err := a.Fetch(r.ctx(), everybody); err != nil || len(infos) != 2 {
		t.Errorf("got %d sockets, %v; want 2", len(infos), err)
	}
	if answers, err := a.AskNodes(r.ctx(), []byte("?")); err != nil || len(answers) != 0 {
		t.Errorf("got %v, %v; want none: nobody handles it there", answers, err)
	}
	if all, err := a.AllRooms(r.ctx()); err != nil || len(all) != 1 || all["x"] != 1 {
		t.Errorf("got %v, %v", all, err)
	}
	for i := range s {
		if got := s[i].Take(); !slices.Equal(got, []string{"only"}) {
			t.Errorf("got %q", got)
		}
	}
	for i := range n {
		if got := n[i].socket.Take(); got != nil {
			t.Errorf("n%d: another namespace's socket got %q", i, got)
		}
	}
	if got := n[2].cluster.Namespaces(); !slices.Equal(got, []string{namespace}) {
		t.Errorf("a node opened %q by itself", got)
	}
}

// Namespaces come and go without a trace.
func idleNamespaces(t *testing.T, r *rig) {
	n := r.start(3)
	subs := func() (total int) {
		for i := range n {
			n[i].weather.set(func(w *weather) { total += w.subs })
		}
		return total
	}
	before := subs()
	for i := range 1000 {
		a := n[i%2].cluster.Namespace(fmt.Sprint("/", i))
		s := NewSocket(a)
		a.Add(s, "x")
		must(t, a.Broadcast(everybody, packet("x")))
		if got := subs(); got != before {
			t.Fatalf("%d subscriptions, and %d with a namespace more", before, got)
		}
		a.Remove(s.id)
		must(t, a.Close())
		if err := a.Broadcast(everybody, packet("x")); !errors.Is(err, adapter.ErrClosed) {
			t.Fatalf("got %v, want ErrClosed", err)
		}
	}
	for i := range n {
		if got := n[i].cluster.Namespaces(); !slices.Equal(got, []string{namespace}) {
			t.Errorf("n%d keeps %d namespaces", i, len(got))
		}
	}
	again := n[0].cluster.Namespace("/0") // opened anew, it works
	s := NewSocket(again)
	again.Add(s)
	must(t, n[1].cluster.Namespace("/0").Broadcast(everybody, packet("again")))
	r.until("a packet in a namespace opened anew", func() bool { return s.Heard() == 1 })
}

// After Close no subscription and no goroutine is left, whatever was under way.
func nothingLeft(t *testing.T, r *rig) {
	before := runtime.NumGoroutine()
	n := r.start(3)
	silent := NewSocket(n[1].Adapter)
	n[1].Add(silent, "silent")
	crowd(n[1], 5000)
	results, count := r.askAll(n[0])
	asked := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := n[0].Ask(r.ctx(), adapter.Target{Rooms: rooms("silent")}, packet("?"))
			asked <- err
		}()
	}
	r.until("the silent socket is asked", func() bool { return silent.Owes() >= 2 })
	for _, x := range n {
		must(t, x.Close())
		x.weather.set(func(w *weather) {
			if w.subs != 0 {
				t.Errorf("%s has %d subscriptions left", x.bus.Self().Name, w.subs)
			}
		})
	}
	for range count {
		<-results
	}
	for range 2 {
		if err := <-asked; err == nil {
			t.Error("a question to a silent socket was answered")
		}
	}
	// Goroutines of libraries take a while to end.
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > before+2 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	if now := runtime.NumGoroutine(); now > before+2 {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before:\n%s", now, before, stacks[:runtime.Stack(stacks, true)])
	}
}
