package adapter_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/adapter"
)

// give takes a socket from one node to another.
func give(t *testing.T, logs []*adapter.Log, id adapter.SocketID, age time.Duration, from, to int) {
	t.Helper()
	var x *adapter.Transfer
	var err error
	logs[from].Sequence(func() {
		x, err = logs[from].Export(id, logs[from].Head(), 100)
		logs[from].Release(id)
	})
	check(t, err)
	x.Age = age
	logs[to].Sequence(func() { _, err = logs[to].Import(&listener{id: id}, x) })
	if err != nil {
		t.Fatalf("from node %d to %d: %v", from, to, err)
	}
}

// A socket may come from a node that has forgotten another, which this one still
// remembers: when they look for what to forget is not the same.
func TestImportFromOneThatForgot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, logs := recorded(t, openBuses(t, 3))
		s := &listener{id: nodes[0].NewID()}
		nodes[0].Add(s)
		start := time.Now()
		logs[0].Post(s.id, packet("to begin at a time of its own"))
		time.Sleep(22 * time.Second)
		check(t, nodes[2].Broadcast(adapter.Target{Rooms: []adapter.Room{"nobody's"}}, packet("x")))
		time.Sleep(5 * time.Minute)
		for len(logs[0].Vector()) > 0 {
			time.Sleep(time.Second)
		}
		if len(logs[1].Vector()) == 0 {
			t.Fatalf("both have forgotten after %v", time.Since(start))
		}
		give(t, logs, s.id, time.Since(start), 0, 1)
	})
}

// A socket may come from a node that knows another only of sockets that came to
// it, and go where that one is known.
func TestImportFromOneThatKnowsByHearsay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, logs := recorded(t, openBuses(t, 3))
		a, b := &listener{id: nodes[0].NewID()}, &listener{id: nodes[1].NewID()}
		nodes[0].Add(a)
		nodes[1].Add(b)
		start := time.Now()
		logs[1].Post(b.id, packet("to begin at a time of its own"))
		time.Sleep(22 * time.Second)
		check(t, nodes[2].Broadcast(adapter.Target{Rooms: []adapter.Room{"nobody's"}}, packet("x")))
		time.Sleep(5 * time.Minute)
		for len(logs[1].Vector()) > 0 {
			time.Sleep(time.Second)
		}
		give(t, logs, a.id, time.Since(start), 0, 1)
		if v := logs[1].Vector(); len(v) > 0 {
			t.Errorf("heard %v, though nothing was said", v)
		}
		give(t, logs, b.id, time.Since(start), 1, 0)
	})
}

// What was told to a socket alone, it is told once: not again when it comes back
// to where it was then.
func TestImportOfOneThatIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, logs := recorded(t, openBuses(t, 2))
		s := &listener{id: nodes[0].NewID()}
		nodes[0].Add(s, "r")
		own := adapter.Target{Rooms: []adapter.Room{adapter.Room(s.id)}}
		check(t, nodes[1].LeaveAll(own, "r"))
		check(t, nodes[1].JoinAll(own, "q"))
		time.Sleep(time.Second)
		if got := nodes[0].Rooms(s.id); slices.Contains(got, "r") || !slices.Contains(got, "q") {
			t.Fatalf("in %q", got)
		}
		give(t, logs, s.id, time.Minute, 0, 1)
		nodes[1].Join(s.id, "r")
		nodes[1].Leave(s.id, "q")
		give(t, logs, s.id, time.Minute, 1, 0)
		if got := nodes[0].Rooms(s.id); !slices.Contains(got, "r") || slices.Contains(got, "q") {
			t.Errorf("in %q", got)
		}
	})
}
