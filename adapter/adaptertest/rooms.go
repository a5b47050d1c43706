package adaptertest

import (
	"fmt"
	"maps"
	"testing"

	"github.com/carillonhq/carillon/adapter"
)

func allRooms(t *testing.T, c *cluster) {
	s := c.sockets(7, rooms("r"), rooms("r", "q"), rooms("r"), rooms("q"))
	c.node(0).Join(s[0].id, adapter.Room(s[len(c.nodes)].id)) // of the same node: it is a room, too
	want := map[adapter.Room]int{"r": 3, "q": 2, adapter.Room(s[len(c.nodes)].id): 2}
	for i := range c.nodes {
		if got, err := c.node(i).AllRooms(c.ctx()); err != nil || !maps.Equal(got, want) {
			t.Errorf("node %d: got %v, %v; want %v", i, got, err, want)
		}
	}
	for i := range c.nodes {
		c.node(i).LeaveAll(adapter.Target{Local: true}, "r", "q", adapter.Room(s[len(c.nodes)].id))
	}
	if got, err := c.node(0).AllRooms(c.ctx()); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v; want none", got, err)
	}
}

// A socket may join tens of thousands of rooms at once, of its node or of
// another.
func manyRooms(t *testing.T, c *cluster) {
	const n = 50_000
	s := c.sockets(2)
	many := make([]adapter.Room, n)
	for i := range many {
		many[i] = adapter.Room(fmt.Sprint("a room of many: ", i))
	}
	for i := range s {
		must(t, c.node(0).JoinAll(adapter.Target{Rooms: rooms(adapter.Room(s[i].id))}, many...))
		c.broadcast(c.node(0), adapter.Target{Rooms: rooms(many[n-1])}, fmt.Sprint(i))
	}
	c.settle(c.node(0))
	c.want(s, []string{"0", "1"}, []string{"1"})
	if all, err := c.node(0).AllRooms(c.ctx()); err != nil || len(all) != n || all[many[n/2]] != 2 {
		t.Errorf("got %d rooms, %d sockets in one of them, %v; want %d and 2", len(all), all[many[n/2]], err, n)
	}
	if infos, err := c.node(0).Fetch(c.ctx(), adapter.Target{Rooms: rooms(many[0])}); err != nil || len(infos) != 2 || len(infos[1].Rooms) != n+1 {
		t.Errorf("got %d sockets, %v", len(infos), err)
	}
	must(t, c.node(0).LeaveAll(adapter.Target{}, many[1:]...))
	if all, err := c.node(0).AllRooms(c.ctx()); err != nil || len(all) != 1 || all[many[0]] != 2 {
		t.Errorf("got %d rooms, %v; want the one that is left", len(all), err)
	}
}

// More sockets than fit in one message.
func fetchMany(t *testing.T, c *cluster) {
	const n = 6000
	s := c.sockets(n)
	info := string(make([]byte, 500))
	for _, x := range s {
		x.about = info
	}
	infos, err := c.node(0).Fetch(c.ctx(), adapter.Target{})
	if err != nil || len(infos) != n {
		t.Errorf("got %d sockets, %v; want %d", len(infos), err, n)
	}
	seen := make(map[adapter.SocketID]bool)
	for _, i := range infos {
		if seen[i.ID] || string(i.Data) != info || len(i.Rooms) != 1 {
			t.Fatalf("%s: twice %v, %d bytes, %d rooms", i.ID, seen[i.ID], len(i.Data), len(i.Rooms))
		}
		seen[i.ID] = true
	}
}
