package adaptertest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
)

// got is the result of one question, in a form that is the same for all.
type got struct {
	what    string
	from    []string // names of the nodes whose answers came, sorted
	err     error
	missing []string // names of the nodes that are missing
	took    time.Duration
}

// askAll asks everything that can be asked, all at once, and returns a channel
// with a result for each.
func (r *rig) askAll(n *node) (results <-chan got, count int) {
	questions := []struct {
		what string
		ask  func() ([]string, error)
	}{
		{"Fetch", func() (from []string, err error) {
			infos, err := n.Fetch(r.ctx(), everybody)
			for _, i := range infos {
				from = append(from, i.Node)
			}
			return from, err
		}},
		{"Ask", func() (from []string, err error) {
			answers, err := n.Ask(r.ctx(), everybody, packet("?"))
			for _, a := range answers {
				from = append(from, string(a.Body))
			}
			return from, err
		}},
		{"AskNodes", func() (from []string, err error) {
			answers, err := n.AskNodes(r.ctx(), []byte("?"))
			for _, a := range answers {
				from = append(from, string(a.Body))
			}
			return append(from, n.bus.Self().Name), err
		}},
		{"Count", func() ([]string, error) {
			count, err := n.Count(r.ctx(), everybody)
			return make([]string, count), err
		}},
		{"AllRooms", func() ([]string, error) {
			all, err := n.AllRooms(r.ctx())
			return make([]string, all["r"]), err
		}},
		{"Deliver", func() ([]string, error) {
			count, err := n.Deliver(everybody, packet("delivered")).Wait(r.ctx())
			return make([]string, count), err
		}},
	}
	c := make(chan got, len(questions))
	for _, q := range questions {
		go func() { // ends within r.ctx
			start := time.Now()
			from, err := q.ask()
			slices.Sort(from)
			g := got{what: q.what, from: from, err: err, took: time.Since(start)}
			if partial, ok := errors.AsType[*adapter.PartialError](err); ok {
				for _, m := range partial.Missing {
					g.missing = append(g.missing, m.Node)
				}
			}
			c <- g
		}()
	}
	return c, len(questions)
}

// wantAll checks that every answer names those that are missing, within a
// time, and holds those of all others. Where only counts come back, from has
// as many empty names.
func (r *rig) wantAll(n *node, within time.Duration, others, missing []string) {
	r.t.Helper()
	results, count := r.askAll(n)
	for range count {
		g := <-results
		named := slices.DeleteFunc(slices.Clone(g.from), func(s string) bool { return s == "" })
		if len(g.from) != len(others) || len(named) > 0 && !slices.Equal(named, others) {
			r.t.Errorf("%s: got answers of %q, want those of %q (%v)", g.what, g.from, others, g.err)
		}
		if !slices.Equal(g.missing, missing) || (g.err != nil) != (missing != nil) {
			r.t.Errorf("%s: got %v, want %q missing", g.what, g.err, missing)
		}
		if g.took > within {
			r.t.Errorf("%s: took %v, want at most %v", g.what, g.took, within)
		}
		if missing != nil && !errors.Is(g.err, broker.ErrNodeDown) {
			r.t.Errorf("%s: got %v, want ErrNodeDown", g.what, g.err)
		}
	}
}

// A node that closes ends all waits for it at once.
func nodeLeaves(t *testing.T, r *rig) {
	n := r.start(3)
	r.wantAll(n[0], patience, []string{"n0", "n1", "n2"}, nil)
	hold := make(chan struct{})
	held := make(chan struct{}, 100)
	// It is at work on the first question while it leaves.
	n[2].bus.Respond(channel, func(broker.Message) ([]byte, error) {
		held <- struct{}{}
		<-hold
		return nil, errors.New("leaving")
	})
	results, count := r.askAll(n[0])
	<-held
	start := time.Now()
	closed := make(chan struct{})
	go func() { // ends once its responder has returned
		defer close(closed)
		n[2].bus.Close()
	}()
	partial := 0
	for range count {
		g := <-results
		if len(g.from) != 2 {
			t.Errorf("%s: got answers of %q, want those of n0 and n1", g.what, g.from)
		}
		// What was asked after it had left is not missing an answer.
		if g.err != nil {
			partial++
			if !slices.Equal(g.missing, []string{"n2"}) || !errors.Is(g.err, broker.ErrNodeDown) {
				t.Errorf("%s: got %v, want n2 down", g.what, g.err)
			}
		}
	}
	if took := time.Since(start); took > r.heartbeat*2 {
		t.Errorf("the answers took %v, after a goodbye", took)
	}
	if partial == 0 {
		t.Error("nothing was missing of the node that left")
	}
	close(hold)
	<-closed
	r.until("n2 is down", func() bool { return len(n[0].bus.Members()) == 1 })
	r.wantAll(n[0], patience, []string{"n0", "n1"}, nil)
}

// A node that dies without a word ends all waits within five heartbeats.
func nodeKilled(t *testing.T, r *rig) {
	n := r.start(3)
	n[2].weather.set(func(w *weather) { w.dead = true })
	r.wantAll(n[0], r.bound(), []string{"n0", "n1"}, []string{"n2"})
	r.until("n1 knows it, too", func() bool { return len(n[1].bus.Members()) == 1 })
	r.wantAll(n[1], patience, []string{"n0", "n1"}, nil)
}

// A node that stands still is like one that died, until it moves again.
func nodeFreezes(t *testing.T, r *rig) {
	n := r.start(3)
	frozen := make(chan struct{})
	n[2].weather.set(func(w *weather) { w.frozen = frozen })
	r.wantAll(n[0], r.bound(), []string{"n0", "n1"}, []string{"n2"})
	n[0].socket.Take()
	n[1].socket.Take()
	must(t, n[1].Broadcast(everybody, packet("missed")))
	n[2].weather.set(func(w *weather) { w.frozen = nil })
	close(frozen)
	for _, x := range n {
		r.know(x, 2)
	}
	// What it answers late harms nobody, and it is asked again.
	r.wantAll(n[0], patience, []string{"n0", "n1", "n2"}, nil)
	r.until("what was missed came", func() bool { return slices.Contains(n[2].socket.Take(), "missed") })
}

// A node that is cut off serves its own clients at once; what it said comes
// when it is back, and what it missed: in order, and once.
func nodeCutOff(t *testing.T, r *rig) {
	n := r.start(3)
	for i := range n {
		n[i].socket.Take()
	}
	n[0].weather.set(func(w *weather) { w.away = true })
	r.outage(n, func() { n[0].weather.set(func(w *weather) { w.away = false }) })
}

// So it is with all nodes, when the broker restarts.
func brokerRestarts(t *testing.T, r *rig) {
	n := r.start(3)
	for i := range n {
		n[i].weather.set(func(w *weather) { w.away = true })
	}
	r.outage(n, func() {
		for i := range n {
			n[i].weather.set(func(w *weather) { w.away = false })
		}
	})
}

// outage has n[0] and n[1] broadcast while n[0] is away, and for shorter than
// it takes to be down.
func (r *rig) outage(n []*node, end func()) {
	r.t.Helper()
	var want [2][]string
	for i := range 40 {
		for j := range 2 {
			text := fmt.Sprint("n", j, " ", i)
			want[j] = append(want[j], text)
			must(r.t, n[j].Broadcast(adapter.Target{Rooms: rooms("r")}, packet(text)))
			if got := n[j].socket; got.Heard() == 0 {
				r.t.Fatalf("a client of n%d did not get %q at once", j, text)
			}
		}
		time.Sleep(r.heartbeat / 20)
	}
	end()
	for i, x := range n {
		var got []string
		r.until(fmt.Sprintf("n%d gets what it missed", i), func() bool {
			got = append(got, x.socket.Take()...)
			return len(got) >= len(want[0])+len(want[1])
		})
		for j := range want {
			of := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return !strings.HasPrefix(s, fmt.Sprint("n", j)) })
			if !slices.Equal(of, want[j]) {
				r.t.Errorf("n%d got of n%d %q, want %q", i, j, of, want[j])
			}
		}
	}
	r.wantAll(n[0], patience, []string{"n0", "n1", "n2"}, nil)
}

// Whatever the broker repeats and reorders, sockets get everything once and in
// order, and answers count once.
func rough(t *testing.T, r *rig) {
	n := r.start(3)
	for i := range n {
		n[i].weather.set(func(w *weather) { w.rough = true })
	}
	const rounds = 60
	var want []string
	for i := range rounds {
		must(t, n[0].Broadcast(everybody, packet(fmt.Sprint(i, " to all"))))
		must(t, n[0].Broadcast(adapter.Target{Rooms: rooms(adapter.Room(n[1].socket.id))}, packet(fmt.Sprint(i, " to one"))))
		must(t, n[0].JoinAll(adapter.Target{Rooms: rooms("r")}, "x"))
		must(t, n[0].Broadcast(adapter.Target{Rooms: rooms("x")}, packet(fmt.Sprint(i, " to x"))))
		must(t, n[0].LeaveAll(adapter.Target{Rooms: rooms(adapter.Room(n[1].socket.id))}, "x"))
		must(t, n[0].Broadcast(adapter.Target{Rooms: rooms("x")}, packet(fmt.Sprint(i, " not to one"))))
		want = append(want, fmt.Sprint(i, " to all"), fmt.Sprint(i, " to one"), fmt.Sprint(i, " to x"))
		time.Sleep(2 * time.Millisecond)
	}
	must(t, n[0].DisconnectAll(adapter.Target{Rooms: rooms(adapter.Room(n[1].socket.id))}, true))
	want = append(want, "disconnect true")
	var heard []string
	r.until("n1's socket is disconnected", func() bool {
		heard = append(heard, n[1].socket.Take()...)
		return len(heard) > 0 && heard[len(heard)-1] == "disconnect true"
	})
	if !slices.Equal(heard, want) {
		t.Errorf("got  %q\nwant %q", heard, want)
	}
	for range 3 {
		r.wantAll(n[0], patience, []string{"n0", "n1", "n2"}, nil)
	}
}

// What follows a join is heard, wherever who joins, who makes it join and who
// broadcasts are, as long as the last two are one.
func joinRace(t *testing.T, r *rig) {
	n := r.start(3)
	for i := range n {
		n[i].socket.Take()
	}
	var want []string
	for i := range 200 {
		target := adapter.Target{Rooms: rooms(adapter.Room(n[2].socket.id))}
		must(t, n[0].JoinAll(target, "race"))
		must(t, n[0].Broadcast(adapter.Target{Rooms: rooms("race")}, packet(fmt.Sprint(i))))
		must(t, n[0].LeaveAll(target, "race"))
		must(t, n[0].Broadcast(adapter.Target{Rooms: rooms("race")}, packet("left")))
		want = append(want, fmt.Sprint(i))
	}
	if _, err := n[0].Count(r.ctx(), everybody); err != nil {
		t.Fatal(err)
	}
	if got := n[2].socket.Take(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
