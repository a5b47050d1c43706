// Package adaptertest holds implementations of adapter.Adapter to their
// contract.
package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
)

// Run tests the Adapters of one namespace on some nodes, which open returns
// fresh for each test, and when they know each other. It closes them.
func Run(t *testing.T, open func(t *testing.T) []adapter.Adapter) {
	tests := []struct {
		name string
		run  func(t *testing.T, c *cluster)
	}{
		{"EmitToAll", emitToAll},
		{"EmitToRooms", emitToRooms},
		{"EmitToOneSocket", emitToOneSocket},
		{"EmitLocally", emitLocally},
		{"Order", order},
		{"JoinIsInTimeForTheNextBroadcast", joinInTime},
		{"LeaveAndRemove", leaveAndRemove},
		{"AddAgain", addAgain},
		{"Receipts", receipts},
		{"Ask", ask},
		{"AskOneSocket", askOneSocket},
		{"AskNobody", askNobody},
		{"AskWhoGoes", askWhoGoes},
		{"AskTheSilent", askTheSilent},
		{"AskIsClosed", askIsClosed},
		{"JoinAllAndLeaveAll", joinAllLeaveAll},
		{"DisconnectAll", disconnectAll},
		{"DisconnectFollowsEmit", disconnectFollowsEmit},
		{"Fetch", fetch},
		{"FetchMany", fetchMany},
		{"Count", count},
		{"AllRooms", allRooms},
		{"TellNodes", tellNodes},
		{"AskNodes", askNodes},
		{"AskNodesTheSilent", askNodesSilent},
		{"ManyRooms", manyRooms},
		{"Flags", flags},
		{"PayloadsAreOpaque", payloads},
		{"IDs", ids},
		{"UnknownSockets", unknownSockets},
		{"Concurrency", concurrency},
		{"Close", closed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &cluster{t: t, nodes: open(t)}
			t.Cleanup(func() {
				for _, a := range c.nodes {
					if err := a.Close(); err != nil {
						t.Errorf("close: %v", err)
					}
				}
			})
			tt.run(t, c)
		})
	}
}

// cluster is the nodes under test.
type cluster struct {
	t     *testing.T
	nodes []adapter.Adapter
}

// node returns the i-th node, counted round and round.
func (c *cluster) node(i int) adapter.Adapter { return c.nodes[i%len(c.nodes)] }

// sockets adds n sockets, each to another node; rooms are those of each.
func (c *cluster) sockets(n int, rooms ...[]adapter.Room) []*Socket {
	s := make([]*Socket, n)
	for i := range s {
		s[i] = NewSocket(c.node(i))
		if i < len(rooms) {
			c.node(i).Add(s[i], rooms[i]...)
		} else {
			c.node(i).Add(s[i])
		}
	}
	return s
}

func (c *cluster) ctx() context.Context {
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	c.t.Cleanup(cancel)
	return ctx
}

// settle returns when all nodes have done what a did before: answers come in
// the order of a's messages.
func (c *cluster) settle(a adapter.Adapter) {
	c.t.Helper()
	if _, err := a.Count(c.ctx(), adapter.Target{}); err != nil {
		c.t.Fatalf("count: %v", err)
	}
}

func (c *cluster) broadcast(a adapter.Adapter, t adapter.Target, text string) {
	c.t.Helper()
	if err := a.Broadcast(t, &adapter.Packet{Data: []byte(text)}); err != nil {
		c.t.Fatalf("broadcast: %v", err)
	}
}

// want checks what each socket got since it was last asked.
func (c *cluster) want(sockets []*Socket, want ...[]string) {
	c.t.Helper()
	for i, s := range sockets {
		if got := s.Take(); !slices.Equal(got, want[i]) {
			c.t.Errorf("socket %d got %q, want %q", i, got, want[i])
		}
	}
}

func rooms(names ...adapter.Room) []adapter.Room { return names }

func emitToAll(t *testing.T, c *cluster) {
	s := c.sockets(5)
	for i := range c.nodes {
		c.broadcast(c.node(i), adapter.Target{}, fmt.Sprint(i))
		c.settle(c.node(i))
		w := []string{fmt.Sprint(i)}
		c.want(s, w, w, w, w, w)
	}
}

func emitToRooms(t *testing.T, c *cluster) {
	s := c.sockets(4, rooms("a"), rooms("a", "b"), rooms("b", "c"), nil)
	for i := range c.nodes {
		a := c.node(i)
		c.broadcast(a, adapter.Target{Rooms: rooms("a")}, "a")
		c.broadcast(a, adapter.Target{Rooms: rooms("a", "b")}, "a or b")
		c.broadcast(a, adapter.Target{Rooms: rooms("a", "b"), Except: rooms("c")}, "not c")
		c.broadcast(a, adapter.Target{Except: rooms("a")}, "not a")
		c.broadcast(a, adapter.Target{Except: rooms(adapter.Room(s[1].id), "nobody")}, "not 1")
		c.broadcast(a, adapter.Target{Rooms: rooms("nobody")}, "none")
		c.broadcast(a, adapter.Target{Rooms: rooms("a", adapter.Room(s[0].id))}, "once")
		c.settle(a)
		c.want(s,
			[]string{"a", "a or b", "not c", "not 1", "once"},
			[]string{"a", "a or b", "not c", "once"},
			[]string{"a or b", "not a", "not 1"},
			[]string{"not a", "not 1"})
	}
}

func emitToOneSocket(t *testing.T, c *cluster) {
	s := c.sockets(3)
	for i := range c.nodes {
		a := c.node(i)
		for j := range s {
			c.broadcast(a, adapter.Target{Rooms: rooms(adapter.Room(s[j].id))}, fmt.Sprint(j))
		}
		c.settle(a)
		c.want(s, []string{"0"}, []string{"1"}, []string{"2"})
	}
}

func emitLocally(t *testing.T, c *cluster) {
	s := c.sockets(len(c.nodes))
	c.broadcast(c.node(0), adapter.Target{Local: true}, "x")
	c.settle(c.node(0))
	want := make([][]string, len(s))
	want[0] = []string{"x"}
	c.want(s, want...)
}

func order(t *testing.T, c *cluster) {
	const n = 500
	s := c.sockets(3, rooms("r"), rooms("r"), rooms("r"))
	var want []string
	for i := range n {
		target := adapter.Target{}
		if i%2 == 1 {
			target.Rooms = rooms("r")
		}
		want = append(want, fmt.Sprint(i))
		c.broadcast(c.node(0), target, fmt.Sprint(i))
		if i%10 == 0 { // to each by itself, but in the same order
			want = append(want, fmt.Sprint(i, " direct"))
			for j := range s {
				c.broadcast(c.node(0), adapter.Target{Rooms: rooms(adapter.Room(s[j].id))}, fmt.Sprint(i, " direct"))
			}
		}
	}
	c.settle(c.node(0))
	c.want(s, want, want, want)
}

func joinInTime(t *testing.T, c *cluster) {
	s := c.sockets(1)
	for range 100 {
		c.node(0).Join(s[0].id, "r")
		c.broadcast(c.node(0), adapter.Target{Rooms: rooms("r")}, "in")
		c.node(0).Leave(s[0].id, "r")
		c.broadcast(c.node(0), adapter.Target{Rooms: rooms("r")}, "out")
	}
	c.want(s, slices.Repeat([]string{"in"}, 100))
}

func leaveAndRemove(t *testing.T, c *cluster) {
	s := c.sockets(3, rooms("r", "q"), rooms("r"), rooms("r"))
	a := c.node(0)
	a.Leave(s[0].id, "r", "never joined")
	if got, want := a.Rooms(s[0].id), rooms("q", adapter.Room(s[0].id)); !sameRooms(got, want) {
		t.Errorf("rooms %q, want %q", got, want)
	}
	c.broadcast(a, adapter.Target{Rooms: rooms("r")}, "left")
	c.settle(a)
	c.want(s, nil, []string{"left"}, []string{"left"})

	a.Remove(s[0].id)
	if got := a.Rooms(s[0].id); got != nil {
		t.Errorf("a removed socket is in %q", got)
	}
	c.broadcast(a, adapter.Target{}, "removed")
	c.broadcast(a, adapter.Target{Rooms: rooms("q", adapter.Room(s[0].id))}, "nobody")
	c.settle(a)
	c.want(s, nil, []string{"removed"}, []string{"removed"})
}

func addAgain(t *testing.T, c *cluster) {
	s := c.sockets(1, rooms("old"))
	c.node(0).Add(s[0], "new")
	c.broadcast(c.node(0), adapter.Target{}, "all")
	c.broadcast(c.node(0), adapter.Target{Rooms: rooms("old")}, "old")
	c.broadcast(c.node(0), adapter.Target{Rooms: rooms("new")}, "new")
	c.want(s, []string{"all", "new"})
}

func receipts(t *testing.T, c *cluster) {
	s := c.sockets(4, rooms("r"), rooms("r"), rooms("r"))
	s[1].refuse.Store(true)
	for i, want := range map[int]struct {
		target adapter.Target
		n      int
	}{
		0: {adapter.Target{}, 3},
		1: {adapter.Target{Rooms: rooms("r")}, 2},
		2: {adapter.Target{Rooms: rooms(adapter.Room(s[2].id))}, 1},
		3: {adapter.Target{Rooms: rooms("nobody")}, 0},
	} {
		n, err := c.node(i).Deliver(want.target, &adapter.Packet{Data: []byte("x")}).Wait(c.ctx())
		if err != nil || n != want.n {
			t.Errorf("%+v: handed to %d, %v; want %d", want.target, n, err, want.n)
		}
	}
}

func joinAllLeaveAll(t *testing.T, c *cluster) {
	s := c.sockets(4, rooms("r"), rooms("r"))
	for i := range c.nodes {
		a := c.node(i)
		must(t, a.JoinAll(adapter.Target{Rooms: rooms("r")}, "x", "y"))
		must(t, a.JoinAll(adapter.Target{Rooms: rooms(adapter.Room(s[3].id))}, "x"))
		c.broadcast(a, adapter.Target{Rooms: rooms("x")}, "x")
		must(t, a.LeaveAll(adapter.Target{Rooms: rooms("x"), Except: rooms("r")}, "x"))
		c.broadcast(a, adapter.Target{Rooms: rooms("x")}, "x again")
		must(t, a.LeaveAll(adapter.Target{}, "x", "y"))
		c.broadcast(a, adapter.Target{Rooms: rooms("x", "y")}, "none")
		c.settle(a)
		both := []string{"x", "x again"}
		c.want(s, both, both, nil, []string{"x"})
	}
}

func disconnectAll(t *testing.T, c *cluster) {
	s := c.sockets(4, rooms("r"), rooms("r"))
	must(t, c.node(0).DisconnectAll(adapter.Target{Rooms: rooms("r")}, true))
	must(t, c.node(0).DisconnectAll(adapter.Target{Rooms: rooms(adapter.Room(s[2].id))}, false))
	c.settle(c.node(0))
	c.want(s, []string{"disconnect true"}, []string{"disconnect true"}, []string{"disconnect false"}, nil)
}

func disconnectFollowsEmit(t *testing.T, c *cluster) {
	s := c.sockets(3)
	c.broadcast(c.node(1), adapter.Target{}, "bye")
	must(t, c.node(1).DisconnectAll(adapter.Target{}, true))
	c.settle(c.node(1))
	w := []string{"bye", "disconnect true"}
	c.want(s, w, w, w)
}

func fetch(t *testing.T, c *cluster) {
	s := c.sockets(3, rooms("r", "q"), rooms("r"))
	for i := range c.nodes {
		for _, tt := range []struct {
			target adapter.Target
			want   []int
		}{
			{adapter.Target{}, []int{0, 1, 2}},
			{adapter.Target{Rooms: rooms("r")}, []int{0, 1}},
			{adapter.Target{Rooms: rooms(adapter.Room(s[2].id))}, []int{2}},
			{adapter.Target{Rooms: rooms("nobody")}, nil},
		} {
			infos, err := c.node(i).Fetch(c.ctx(), tt.target)
			if err != nil || len(infos) != len(tt.want) {
				t.Errorf("%+v: got %d sockets, %v; want %d", tt.target, len(infos), err, len(tt.want))
				continue
			}
			for _, j := range tt.want {
				k := slices.IndexFunc(infos, func(i adapter.Info) bool { return i.ID == s[j].id })
				if k < 0 {
					t.Errorf("%+v: socket %d is missing", tt.target, j)
				} else if got := infos[k]; string(got.Data) != "info of "+string(s[j].id) ||
					!sameRooms(got.Rooms, c.node(j).Rooms(s[j].id)) {
					t.Errorf("socket %d: got %+v", j, got)
				}
			}
		}
	}
	infos, err := c.node(0).Fetch(c.ctx(), adapter.Target{Local: true})
	if want := (3 + len(c.nodes) - 1) / len(c.nodes); err != nil || len(infos) != want {
		t.Errorf("locally: got %d sockets, %v; want %d", len(infos), err, want)
	}
}

func count(t *testing.T, c *cluster) {
	c.sockets(7, rooms("r"), rooms("r"), rooms("r", "q"))
	for i := range c.nodes {
		for want, target := range map[int]adapter.Target{
			7: {}, 3: {Rooms: rooms("r", "q")}, 2: {Rooms: rooms("r"), Except: rooms("q")}, 0: {Rooms: rooms("nobody")},
		} {
			if n, err := c.node(i).Count(c.ctx(), target); err != nil || n != want {
				t.Errorf("%+v: got %d, %v; want %d", target, n, err, want)
			}
		}
	}
}

func flags(t *testing.T, c *cluster) {
	s := c.sockets(3)
	must(t, c.node(0).Broadcast(adapter.Target{}, &adapter.Packet{Data: []byte("x"), Volatile: true}))
	c.settle(c.node(0))
	must(t, c.node(0).Broadcast(adapter.Target{}, &adapter.Packet{Data: []byte("x"), NoCompress: true}))
	n, err := c.node(0).Deliver(adapter.Target{}, &adapter.Packet{Data: []byte("x"), Volatile: true, NoCompress: true}).Wait(c.ctx())
	if err != nil || n != 3 {
		t.Errorf("handed to %d, %v; want 3", n, err)
	}
	c.settle(c.node(0))
	w := []string{"volatile x", "uncompressed x", "volatile uncompressed x"}
	c.want(s, w, w, w)
}

func payloads(t *testing.T, c *cluster) {
	s := c.sockets(2)
	for _, p := range []string{"", "\x00", "\xff\xfe", string(make([]byte, 100_000)), strings.Repeat("5 MB.", 1_000_000)} {
		c.broadcast(c.node(0), adapter.Target{}, p)
		c.broadcast(c.node(0), adapter.Target{}, "after")
		c.settle(c.node(0))
		for i := range s {
			if got := s[i].Take(); !slices.Equal(got, []string{p, "after"}) {
				t.Errorf("socket %d got something else than the %d bytes sent, and what followed", i, len(p))
			}
		}
	}
}

func ids(t *testing.T, c *cluster) {
	seen := make(map[adapter.SocketID]bool)
	for i := range 3000 {
		id := c.node(i).NewID()
		if len(id) < 20 || seen[id] {
			t.Fatalf("id %q is short or not new", id)
		}
		seen[id] = true
	}
}

func unknownSockets(t *testing.T, c *cluster) {
	a := c.node(0)
	a.Join("nobody", "r")
	a.Leave("nobody", "r")
	a.Remove("nobody")
	if n, err := a.Count(c.ctx(), adapter.Target{}); err != nil || n != 0 {
		t.Errorf("count: got %d, %v; want 0", n, err)
	}
}

func concurrency(t *testing.T, c *cluster) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			a := c.node(i)
			for range 50 {
				s := NewSocket(a)
				a.Add(s, "r")
				a.Join(s.id, "q")
				a.Broadcast(adapter.Target{Rooms: rooms("r", "q")}, &adapter.Packet{Data: []byte("x")})
				a.Fetch(c.ctx(), adapter.Target{Local: true})
				a.JoinAll(adapter.Target{Rooms: rooms("q")}, "p")
				a.Leave(s.id, "r")
				a.Remove(s.id)
			}
		})
	}
	wg.Wait()
	for i := range c.nodes {
		c.settle(c.node(i))
	}
	if n, err := c.node(0).Count(c.ctx(), adapter.Target{}); err != nil || n != 0 {
		t.Errorf("count: got %d, %v; want 0", n, err)
	}
}

func closed(t *testing.T, c *cluster) {
	s := c.sockets(len(c.nodes))
	a := c.node(0)
	must(t, a.Close())
	must(t, a.Close())
	if _, err := a.Ask(c.ctx(), adapter.Target{}, &adapter.Packet{}); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Ask: got %v, want ErrClosed", err)
	}
	if err := a.Broadcast(adapter.Target{}, &adapter.Packet{}); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Broadcast: got %v, want ErrClosed", err)
	}
	if _, err := a.Deliver(adapter.Target{}, &adapter.Packet{}).Wait(c.ctx()); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Deliver: got %v, want ErrClosed", err)
	}
	if _, err := a.Count(c.ctx(), adapter.Target{}); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Count: got %v, want ErrClosed", err)
	}
	if _, err := a.Fetch(c.ctx(), adapter.Target{}); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Fetch: got %v, want ErrClosed", err)
	}
	if _, err := a.AllRooms(c.ctx()); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("AllRooms: got %v, want ErrClosed", err)
	}
	if _, err := a.AskNodes(c.ctx(), nil); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("AskNodes: got %v, want ErrClosed", err)
	}
	for what, err := range map[string]error{
		"JoinAll":       a.JoinAll(adapter.Target{}, "r"),
		"LeaveAll":      a.LeaveAll(adapter.Target{}, "r"),
		"DisconnectAll": a.DisconnectAll(adapter.Target{}, true),
		"TellNodes":     a.TellNodes(nil),
	} {
		if !errors.Is(err, adapter.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", what, err)
		}
	}
	if len(c.nodes) > 1 { // the others go on without it
		c.broadcast(c.node(1), adapter.Target{}, "x")
		c.settle(c.node(1))
		if got := s[1].Take(); !slices.Equal(got, []string{"x"}) {
			t.Errorf("another node's socket got %q", got)
		}
	}
	if got := s[0].Take(); got != nil {
		t.Errorf("a socket of the closed adapter got %q", got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sameRooms(got, want []adapter.Room) bool {
	return slices.Equal(got, slices.Sorted(slices.Values(want)))
}
