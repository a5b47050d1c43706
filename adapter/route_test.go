package adapter_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/adapter/adaptertest"
	"github.com/carillonhq/carillon/broker"
)

// routeRig is four nodes, the last of which only counts what it hears.
type routeRig struct {
	nodes   []adapter.Adapter
	sockets []*adaptertest.Socket
	heard   [4]atomic.Int64 // messages, by node
	locate  func(room adapter.Room) ([]broker.NodeID, bool)
	buses   []*broker.Bus
}

func openRouteRig(t *testing.T) *routeRig {
	r := &routeRig{buses: openBuses(t, 4)}
	for i, b := range r.buses {
		c := adapter.NewCluster(b, adapter.Options{Logger: quiet, Locate: func(namespace string, room adapter.Room) ([]broker.NodeID, bool) {
			if namespace != "/" || r.locate == nil {
				return nil, false
			}
			return r.locate(room)
		}})
		a := c.Namespace("/")
		s := adaptertest.NewSocket(a)
		s.AnswerAll(b.Self().Name)
		r.nodes, r.sockets = append(r.nodes, a), append(r.sockets, s)
		if i == 3 {
			b.Handle("adapter", func(broker.Message) { r.heard[i].Add(1) })
			b.Respond("adapter", func(broker.Message) ([]byte, error) {
				r.heard[i].Add(1)
				return nil, errors.New("not for me")
			})
			continue
		}
		a.Add(s)
	}
	return r
}

// everything is done to t by node 0, with an answer wherever there can be one.
func (r *routeRig) everything(t *testing.T, target adapter.Target) {
	t.Helper()
	a := r.nodes[0]
	ctx := t.Context()
	p := func() *adapter.Packet { return &adapter.Packet{Data: []byte("x")} }
	check := func(what string, n int, err error) {
		t.Helper()
		if want := len(target.Rooms); err != nil || n != want {
			t.Errorf("%s %q: got %d, %v; want %d", what, target.Rooms, n, err, want)
		}
	}
	if err := errors.Join(a.Broadcast(target, p()), a.JoinAll(target, "y"), a.LeaveAll(target, "y"), a.DisconnectAll(target, false)); err != nil {
		t.Error(err)
	}
	n, err := a.Count(ctx, target)
	check("count", n, err)
	infos, err := a.Fetch(ctx, target)
	check("fetch", len(infos), err)
	answers, err := a.Ask(ctx, target, p())
	check("ask", len(answers), err)
	n, err = a.Deliver(target, p()).Wait(ctx)
	check("deliver", n, err)
}

func (r *routeRig) take(t *testing.T, want ...[]string) {
	t.Helper()
	synctest.Wait()
	for i := range want {
		if got := r.sockets[i].Take(); !slices.Equal(got, want[i]) {
			t.Errorf("socket of node %d got %q, want %q", i, got, want[i])
		}
	}
	if n := r.heard[3].Swap(0); n != 0 {
		t.Errorf("a node that holds no socket concerned heard %d messages", n)
	}
}

var once = []string{"x", "disconnect false", "asked x", "x"}

// What concerns some sockets goes to the nodes that hold them alone.
func TestOnlyTheHoldersHear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRouteRig(t)
		id := func(i int) adapter.Room { return adapter.Room(r.sockets[i].ID()) }
		r.everything(t, adapter.Target{Rooms: []adapter.Room{id(0)}})
		r.take(t, once, nil, nil)
		r.everything(t, adapter.Target{Rooms: []adapter.Room{id(1)}})
		r.take(t, nil, once, nil)
		r.everything(t, adapter.Target{Rooms: []adapter.Room{id(2), id(0), id(1)}})
		r.take(t, once, once, once)
	})
}

// A user's room is a room like any other, until Locate knows the user's nodes.
func TestLocate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRouteRig(t)
		users := map[adapter.Room][]broker.NodeID{"user:alice": {r.buses[1].Self().ID}, "user:bob": {r.buses[0].Self().ID}, "user:nobody": nil}
		r.nodes[1].Join(r.sockets[1].ID(), "user:alice")
		r.nodes[0].Join(r.sockets[0].ID(), "user:bob")
		r.locate = func(room adapter.Room) ([]broker.NodeID, bool) {
			nodes, known := users[room]
			return nodes, known
		}
		r.everything(t, adapter.Target{Rooms: []adapter.Room{"user:alice"}})
		r.take(t, nil, once, nil)
		r.everything(t, adapter.Target{Rooms: []adapter.Room{"user:bob"}})
		r.take(t, once, nil, nil)
		r.everything(t, adapter.Target{Rooms: []adapter.Room{"user:bob", adapter.Room(r.sockets[2].ID()), "user:alice"}})
		r.take(t, once, once, once)
		if n, err := r.nodes[0].Count(t.Context(), adapter.Target{Rooms: []adapter.Room{"user:nobody"}}); n != 0 || err != nil {
			t.Errorf("nobody: got %d, %v", n, err)
		}
		r.take(t, nil, nil, nil)

		// What is not known goes to all.
		if _, err := r.nodes[0].Count(t.Context(), adapter.Target{Rooms: []adapter.Room{"user:alice", "r"}}); err == nil || !strings.Contains(err.Error(), "n3") {
			t.Errorf("got %v, want n3's refusal", err)
		}
		if n := r.heard[3].Swap(0); n != 1 {
			t.Errorf("n3 heard %d messages, want 1", n)
		}
	})
}
