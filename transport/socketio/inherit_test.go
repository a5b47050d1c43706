package socketio_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/transport/socketio"
)

// An estate is lodges on the nodes of a cluster, of which each can seem to die.
type estate struct {
	nodes []*lodge
	buses []*broker.Bus
	links []*brokertest.Severed
	rooms []*adapter.Cluster
}

func openEstate(t *testing.T, n int) *estate {
	t.Helper()
	e := new(estate)
	hub := memory.NewHub()
	for i := range n {
		link := brokertest.Sever(hub.Driver())
		bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return link, nil },
			broker.Options{Node: fmt.Sprint("n", i), Heartbeat: 600 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { bus.Close() })
		cluster := adapter.NewCluster(bus, adapter.Options{Logger: slog.New(slog.DiscardHandler)})
		e.links, e.buses, e.rooms = append(e.links, link), append(e.buses, bus), append(e.rooms, cluster)
		e.nodes = append(e.nodes, open(t, func(o *socketio.Options) { o.Adapter = cluster.Namespace }, nil))
	}
	for _, b := range e.buses {
		brokertest.AwaitMembers(t, b, n-1)
	}
	return e
}

// kill has a node seem dead to the others: what it says reaches nobody.
func (e *estate) kill(i int) { e.links[i].Cut(true) }

// guest connects a client to a node, with rooms and data, and waits until
// another node keeps what it is.
func (e *estate) guest(t *testing.T, i int) (*guest, *socketio.Socket) {
	t.Helper()
	g := arrive(t, e.nodes[i].url, "")
	s := <-e.nodes[i].sockets
	s.Join("a", "b", "c")
	s.Leave("b")
	s.SetData("mine")
	e.settle()
	return g, s
}

// settle waits for what nodes say of changes, which they do within 50 ms.
func (e *estate) settle() { <-time.After(300 * time.Millisecond) }

// A client whose node died has its id, rooms and data on another node, and is
// told that it may have missed something: its pid is new.
func TestInherit(t *testing.T) {
	t.Parallel()
	e := openEstate(t, 3)
	g, _ := e.guest(t, 0)
	sid, pid := g.sid, g.pid
	e.kill(0)
	g.Vanish()
	g.url = e.nodes[1].url
	g.back() // at once: it waits until the node is known to be dead
	if g.recovered || g.pid == pid || g.sid != sid {
		t.Errorf("recovered %v, the pid of before %v, the id of before %v; want the id alone", g.recovered, g.pid == pid, g.sid == sid)
	}
	s := <-e.nodes[1].sockets
	if rooms := s.Rooms(); !slices.Equal(slices.Sorted(slices.Values(rooms)), slices.Sorted(slices.Values([]string{sid, "a", "c"}))) || s.Data() != "mine" {
		t.Errorf("in rooms %q with data %v", rooms, s.Data())
	}
	if s.Recovered() || !s.Restored() {
		t.Errorf("Recovered %v, Restored %v", s.Recovered(), s.Restored())
	}
	c := e.nodes[1].counted()
	if c.notRecovered[socketio.UnrecoveredDied] != 1 || c.recovered != 0 {
		t.Errorf("counted %+v", c)
	}
	// It is a socket like any other, whatever node speaks to it that knows of the death.
	await(t, "the third node to know", func() bool { return len(e.buses[2].Members()) == 1 })
	if err := e.nodes[2].Of("/").To(sid).Emit("x", 1); err != nil {
		t.Fatal(err)
	}
	g.wantEvents(`["x",1]`)
	if err := e.nodes[2].Of("/").To("a").Emit("y", 2); err != nil {
		t.Fatal(err)
	}
	g.wantEvents(`["y",2]`)
	// And with the same pid once more, nothing is left.
	g.Vanish()
	<-e.nodes[1].ends
	thief := &guest{t: t, url: e.nodes[2].url, pid: pid}
	thief.back()
	if thief.sid == sid || thief.recovered {
		t.Error("one died, and two inherited")
	}
	// The inheritor is recovered as ever where it is now.
	g.wantRecovered(true)
}

// An owner that was only silent drops what was claimed, and keeps the rest.
func TestInheritOwnerComesBack(t *testing.T) {
	t.Parallel()
	e := openEstate(t, 3)
	g, _ := e.guest(t, 0)
	other, _ := e.guest(t, 0)
	sid := g.sid
	e.kill(0)
	g.Vanish()
	<-e.nodes[0].ends
	g.url = e.nodes[1].url
	g.back()
	if g.sid != sid {
		t.Fatal("not inherited")
	}
	<-e.nodes[1].sockets
	e.links[0].Cut(false)
	e.nodes[0].want(t, socketio.LapseClaimed, 1)
	if n := e.nodes[0].RecoveryStats().Parked; n != 0 {
		t.Errorf("%d are parked on the node that was silent", n)
	}
	if err := e.nodes[1].Of("/").To("a").Emit("z", 1); err != nil {
		t.Fatal(err)
	}
	g.wantEvents(`["z",1]`)
	other.wantEvents(`["z",1]`) // the node is back for those that stayed
}

// Who makes up a pid is not kept waiting, nor one whose record died with its
// keeper.
func TestInheritNothing(t *testing.T) {
	t.Parallel()
	e := openEstate(t, 3)
	g, _ := e.guest(t, 0)
	for _, pid := range []string{e.buses[0].Self().ID.Short() + "~made-up", "nobody~x", "~", "x"} {
		start := time.Now()
		stranger := &guest{t: t, url: e.nodes[1].url, pid: pid}
		stranger.back()
		<-e.nodes[1].sockets
		if stranger.sid == g.sid || stranger.recovered {
			t.Errorf("pid %q has the socket of another", pid)
		}
		if d := time.Since(start); d > heirTime {
			t.Errorf("pid %q: waited for %v", pid, d)
		}
	}
	keeper, _ := adapter.Rendezvous(g.pid, e.buses[0].Members())
	left := 1
	if keeper.ID == e.buses[1].Self().ID {
		left = 2
	}
	e.kill(3 - left)
	e.kill(0)
	g.Vanish()
	sid := g.sid
	g.url = e.nodes[left].url
	g.back()
	if g.sid == sid || g.recovered {
		t.Error("inherited what nobody kept")
	}
	why := e.nodes[left].counted().notRecovered
	if why[socketio.UnrecoveredUnknown]+why[socketio.UnrecoveredUnreachable] == 0 {
		t.Error("not counted")
	}
}

// heirTime is well below what a client waits for a node that may be dead.
const heirTime = 8 * time.Second

// What sockets leave behind goes with them.
func TestInheritLeavesNothing(t *testing.T) {
	t.Parallel()
	e := openEstate(t, 2)
	g, s := e.guest(t, 0)
	for i := range 200 { // more than is kept as changes
		s.Join(fmt.Sprint("r", i))
		s.Leave(fmt.Sprint("r", i-1))
	}
	await(t, "one record on the other node", func() bool { return e.rooms[1].KeepStats().Records == 1 })
	if got := e.rooms[1].KeepStats(); got.Refused != 0 || got.Bytes > 64<<10 {
		t.Errorf("%+v", got)
	}
	g.Send("41")
	await(t, "none", func() bool {
		return e.rooms[1].KeepStats() == adapter.KeepStats{} && e.rooms[0].KeepStats() == adapter.KeepStats{}
	})
}

// What a client has goes along where it moves, so that its node may die there.
func TestInheritAfterMove(t *testing.T) {
	t.Parallel()
	e := openEstate(t, 3)
	g, _ := e.guest(t, 0)
	sid := g.sid
	g.Vanish()
	<-e.nodes[0].ends
	g.url = e.nodes[1].url
	g.wantRecovered(true)
	s := <-e.nodes[1].sockets
	s.Join("d")
	s.SetData("mine still")
	e.settle()
	await(t, "one record on the other nodes", func() bool {
		return e.rooms[0].KeepStats().Own == 0 && e.rooms[1].KeepStats().Own == 1 &&
			e.rooms[0].KeepStats().Records+e.rooms[2].KeepStats().Records == 1 && e.rooms[1].KeepStats().Records == 0
	})
	e.kill(1)
	g.Vanish()
	g.url = e.nodes[2].url
	g.back()
	s = <-e.nodes[2].sockets
	if g.recovered || g.sid != sid || !s.Restored() || s.Data() != "mine still" {
		t.Errorf("recovered %v, the id of before %v, restored %v, data %v", g.recovered, g.sid == sid, s.Restored(), s.Data())
	}
	if rooms := s.Rooms(); len(rooms) != 4 || !slices.Contains(rooms, "a") || !slices.Contains(rooms, "d") {
		t.Errorf("in rooms %q", rooms)
	}
	await(t, "the first node to know", func() bool { return len(e.buses[0].Members()) == 1 })
	e.settle()
	if err := e.nodes[0].Of("/").To(sid).Emit("x", 1); err != nil {
		t.Fatal(err)
	}
	g.wantEvents(`["x",1]`)
}
