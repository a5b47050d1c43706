package adapter_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/adapter/adaptertest"
)

// history is what RoomHooks were told.
type history struct {
	mu  sync.Mutex
	got []string
}

func (h *history) hooks() adapter.RoomHooks {
	return adapter.RoomHooks{
		Created: func(room adapter.Room) { h.add("created", room, "") },
		Joined:  func(room adapter.Room, id adapter.SocketID) { h.add("joined", room, id) },
		Left:    func(room adapter.Room, id adapter.SocketID) { h.add("left", room, id) },
		Deleted: func(room adapter.Room) { h.add("deleted", room, "") },
	}
}

func (h *history) add(what string, room adapter.Room, id adapter.SocketID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, strings.TrimSpace(fmt.Sprint(what, " ", room, " ", id)))
}

func (h *history) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	got := h.got
	h.got = nil
	return got
}

// want compares what was told, with the ids of sockets by their names.
func (h *history) want(t *testing.T, names map[adapter.SocketID]string, want ...string) {
	t.Helper()
	got := h.take()
	for i := range got {
		for id, name := range names {
			got[i] = strings.ReplaceAll(got[i], string(id), name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWatchRooms(t *testing.T) {
	l := adapter.NewLocal()
	defer l.Close()
	a, b := adaptertest.NewSocket(l), adaptertest.NewSocket(l)
	names := map[adapter.SocketID]string{a.ID(): "A", b.ID(): "B"}
	var h history
	stop := l.WatchRooms(h.hooks())

	l.Add(a, "x")
	h.want(t, names, "created A", "joined A A", "created x", "joined x A")
	l.Add(b, "x")
	h.want(t, names, "created B", "joined B B", "joined x B")
	l.Join(a.ID(), "x", adapter.Room(a.ID()))
	h.want(t, names)
	l.Join(a.ID(), adapter.Room(b.ID())) // somebody else's own room
	h.want(t, names, "joined B A")
	l.JoinAll(adapter.Target{Rooms: []adapter.Room{"x"}, Except: []adapter.Room{adapter.Room(b.ID())}}, "none")
	h.want(t, names)
	l.Leave(a.ID(), "x", "never")
	h.want(t, names, "left x A")
	l.Remove(b.ID()) // A keeps its room
	h.want(t, names, "left x B", "deleted x", "left B B")
	l.Remove(b.ID())
	h.want(t, names)
	l.Remove(a.ID())
	h.want(t, names, "left B A", "deleted B", "left A A", "deleted A")
	stop()
	l.Add(a, "x")
	h.want(t, names)
}

// A hook may call the Adapter: what it changes is told after what it was told
// of, and a nil hook is skipped.
func TestWatchRoomsMayChange(t *testing.T) {
	l := adapter.NewLocal()
	defer l.Close()
	a := adaptertest.NewSocket(l)
	var h history
	l.WatchRooms(adapter.RoomHooks{Joined: func(room adapter.Room, id adapter.SocketID) {
		h.add("joined", room, "")
		if room == "x" {
			l.Join(id, "y")
			h.add("returned", room, "")
		}
	}})
	l.Add(a, "x")
	h.want(t, map[adapter.SocketID]string{a.ID(): "A"}, "joined A", "joined x", "returned x", "joined y")
}

// A hook that panics leaves the Adapter as it should be.
func TestWatchRoomsPanics(t *testing.T) {
	l := adapter.NewLocal()
	defer l.Close()
	a := adaptertest.NewSocket(l)
	l.Add(a)
	var told int
	l.WatchRooms(adapter.RoomHooks{Joined: func(adapter.Room, adapter.SocketID) {
		if told++; told == 1 {
			panic("hook")
		}
	}})
	func() {
		defer func() { recover() }()
		l.Join(a.ID(), "x")
	}()
	l.Join(a.ID(), "y")
	if told != 2 {
		t.Errorf("told %d times, want 2", told)
	}
}

// What many goroutines do is told in an order in which it can have happened.
func TestWatchRoomsConcurrently(t *testing.T) {
	l := adapter.NewLocal()
	defer l.Close()
	in := make(map[string]bool)
	members := make(map[adapter.Room]int)
	check := func(ok bool, what string, room adapter.Room) {
		if !ok {
			t.Errorf("%s %s: out of order", what, room)
		}
	}
	l.WatchRooms(adapter.RoomHooks{
		Created: func(r adapter.Room) { check(members[r] == 0, "created", r) },
		Joined: func(r adapter.Room, id adapter.SocketID) {
			key := string(r) + " " + string(id)
			check(!in[key], "joined", r)
			in[key] = true
			members[r]++
		},
		Left: func(r adapter.Room, id adapter.SocketID) {
			key := string(r) + " " + string(id)
			check(in[key], "left", r)
			delete(in, key)
			members[r]--
		},
		Deleted: func(r adapter.Room) { check(members[r] == 0, "deleted", r) },
	})
	s := adaptertest.NewSocket(l)
	l.Add(s)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			own := adaptertest.NewSocket(l)
			for range 200 {
				l.Add(own, "r")
				l.Join(s.ID(), "r")
				l.LeaveAll(adapter.Target{}, "r")
				l.Join(own.ID(), adapter.Room(fmt.Sprint(i%2)))
				l.Remove(own.ID())
			}
		})
	}
	wg.Wait()
	l.Remove(s.ID())
	if len(in) > 0 {
		t.Errorf("still in rooms: %v", in)
	}
}

// Joins that another node causes are told on the node of the socket, and a
// node knows whether it is alone.
func TestWatchRoomsOfCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := openBuses(t, 2)
		var nodes []adapter.Watcher
		for _, b := range buses {
			nodes = append(nodes, newCluster(b).Namespace("/").(adapter.Watcher))
		}
		var h [2]history
		for i, n := range nodes {
			n.WatchRooms(h[i].hooks())
		}
		s := adaptertest.NewSocket(nodes[0])
		names := map[adapter.SocketID]string{s.ID(): "S"}
		nodes[0].Add(s)
		h[0].want(t, names, "created S", "joined S S")
		nodes[1].JoinAll(adapter.Target{}, "x")
		synctest.Wait()
		h[0].want(t, names, "created x", "joined x S")
		nodes[1].LeaveAll(adapter.Target{}, "x")
		synctest.Wait()
		h[0].want(t, names, "left x S", "deleted x")
		h[1].want(t, names)

		if nodes[0].Alone() {
			t.Error("alone, with another node up")
		}
		buses[1].Close()
		synctest.Wait()
		if !nodes[0].Alone() {
			t.Error("not alone, after the other node left")
		}
	})
}
