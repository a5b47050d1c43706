package socketio_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/transport/socketio"
)

// openOldEstate is openEstate of nodes that have been there for a while: a node
// knows what a client of another missed only from what it has heard itself.
func openOldEstate(t *testing.T) *estate {
	t.Helper()
	e := openEstate(t, 3)
	<-time.After(adapter.Slack + 200*time.Millisecond)
	return e
}

// openHeard returns an estate with a guest at the first node, who has had one
// event, and its socket there.
func openHeard(t *testing.T) (e *estate, g *guest, s *socketio.Socket) {
	t.Helper()
	e = openOldEstate(t)
	g, s = e.guest(t, 0)
	e.say(t, 1, "a", "had")
	g.wantEvents(`["had",1]`)
	return e, g, s
}

// say has a node emit to a room.
func (e *estate) say(t *testing.T, i int, room, event string) {
	t.Helper()
	if err := e.nodes[i].Of("/").To(room).Emit(event, i); err != nil {
		t.Fatal(err)
	}
}

// wantRegained connects a guest to another node than its own, which has died, and
// looks whether it is recovered and gets the events, those of each node in order:
// the nodes that are named at their ends.
func (e *estate) wantRegained(t *testing.T, g *guest, i int, events ...string) {
	t.Helper()
	sid, pid := g.sid, g.pid
	g.url = e.nodes[i].url
	g.back()
	if !g.recovered || g.sid != sid || g.pid != pid {
		t.Fatalf("recovered: %v, with the same id: %v", g.recovered, g.sid == sid)
	}
	if s := <-e.nodes[i].sockets; !s.Recovered() || s.Restored() {
		t.Errorf("Recovered %v, Restored %v", s.Recovered(), s.Restored())
	}
	e.say(t, i, sid, "end")
	by := map[byte][]string{}
	for {
		event := g.event()
		if strings.HasPrefix(event, `["end"`) {
			break
		}
		from := event[len(event)-2]
		by[from] = append(by[from], event)
	}
	want := map[byte][]string{}
	for _, event := range events {
		from := event[len(event)-2]
		want[from] = append(want[from], event)
	}
	for _, from := range []byte("012") {
		if !slices.Equal(by[from], want[from]) {
			t.Errorf("of node %c: got %q, want %q", from, by[from], want[from])
		}
	}
}

// wantRestored connects a guest to another node than its own, which has died, and
// looks whether it has its id, and no more.
func (e *estate) wantRestored(t *testing.T, g *guest, i int) {
	t.Helper()
	sid := g.sid
	g.url = e.nodes[i].url
	if g.back(); g.recovered || g.sid != sid {
		t.Errorf("recovered: %v, with the same id: %v; want the id alone", g.recovered, g.sid == sid)
	}
	if c := e.nodes[i].counted(); c.notRecovered[socketio.UnrecoveredDied] != 1 {
		t.Errorf("counted %+v", c)
	}
}

// A client whose node has died gets on another one all that it missed: of what
// others said to all and to it alone, before the death and after it.
func TestRegain(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]bool{"its client was away": true, "its client was there": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, g, _ := openHeard(t)
			e.say(t, 0, "a", "had")
			e.say(t, 2, g.sid, "had")
			by := []string{g.event(), g.event()}
			if slices.Sort(by); !slices.Equal(by, []string{`["had",0]`, `["had",2]`}) {
				t.Fatalf("got %q", by)
			}
			if gone {
				g.Vanish()
				<-e.nodes[0].ends
				e.say(t, 0, "a", "own")
				e.say(t, 1, "a", "before")
				e.say(t, 2, g.sid, "direct before")
				e.say(t, 2, "a", "before")
				e.settle()
			}
			e.kill(0)
			g.Vanish()
			e.say(t, 1, "c", "after")
			e.say(t, 2, g.sid, "direct after")
			e.say(t, 2, "nowhere", "not for it")
			want := []string{`["after",1]`, `["direct after",2]`}
			if gone {
				want = []string{`["own",0]`, `["before",1]`, `["direct before",2]`, `["before",2]`, `["after",1]`, `["direct after",2]`}
			}
			e.wantRegained(t, g, 1, want...)
			if c := e.nodes[1].counted(); c.recovered != 1 || len(c.notRecovered) > 0 {
				t.Errorf("counted %+v", c)
			}
			// It is recovered as ever from then on, on whatever node.
			e.say(t, 2, "c", "more")
			g.wantEvents(`["more",2]`)
			e.nodes[1].cut(g)
			e.say(t, 1, "a", "late")
			g.url = e.nodes[2].url
			g.wantRecovered(true, `["late",1]`)
		})
	}
}

// One that has had nothing yet has missed all.
func TestRegainFromTheStart(t *testing.T) {
	t.Parallel()
	e := openOldEstate(t)
	e.say(t, 1, "a", "not for it")
	g, _ := e.guest(t, 0)
	g.Vanish()
	<-e.nodes[0].ends
	e.say(t, 1, "a", "first")
	e.settle()
	e.kill(0)
	e.wantRegained(t, g, 2, `["first",1]`)
}

// What was said to its rooms it gets if it was in them then, though it joined
// and left some, or others had it do so, also when its node was dead.
func TestRegainRooms(t *testing.T) {
	t.Parallel()
	e, g, s := openHeard(t)
	g.Vanish()
	<-e.nodes[0].ends
	e.say(t, 1, "d", "too early")
	e.say(t, 1, "a", "in time")
	e.settle()
	s.Join("d")
	s.Leave("a")
	e.settle()
	e.say(t, 1, "a", "too late")
	e.say(t, 1, "d", "in time, too")
	e.settle()
	e.kill(0)
	if err := e.nodes[2].Of("/").To(g.sid).SocketsJoin("e"); err != nil {
		t.Fatal(err)
	}
	if err := e.nodes[1].Of("/").To("d").SocketsLeave("c"); err != nil {
		t.Fatal(err)
	}
	e.settle()
	e.say(t, 1, "c", "out of it")
	e.say(t, 2, "e", "in it")
	e.wantRegained(t, g, 2, `["in time",1]`, `["in time, too",1]`, `["in it",2]`)
	want := []string{g.sid, "d", "e"}
	slices.Sort(want)
	rooms := e.nodes[2].Of("/").Socket(g.sid).Rooms()
	if slices.Sort(rooms); !slices.Equal(rooms, want) {
		t.Errorf("in rooms %q, want %q", rooms, want)
	}
}

// One that was put out after its node died does not come back.
func TestRegainDisconnected(t *testing.T) {
	t.Parallel()
	e, g, _ := openHeard(t)
	e.kill(0)
	g.Vanish()
	if err := e.nodes[2].Of("/").To(g.sid).DisconnectSockets(false); err != nil {
		t.Fatal(err)
	}
	e.settle()
	sid := g.sid
	g.url = e.nodes[1].url
	g.back()
	if g.recovered || g.sid == sid {
		t.Errorf("recovered: %v, with the same id: %v", g.recovered, g.sid == sid)
	}
}

// One that has come from another node, which knows of it no more, is regained
// of the second as it would be of the first, whatever it has had of what it was
// sent there.
func TestRegainMoved(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]int{"had all": 2, "had one": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := openOldEstate(t)
			g, _ := e.guest(t, 0)
			e.say(t, 2, "a", "had")
			g.wantEvents(`["had",2]`)
			e.nodes[0].cut(g)
			e.say(t, 2, "a", "one")
			e.say(t, 2, "a", "two")
			g.url = e.nodes[1].url
			missed := []string{`["one",2]`, `["two",2]`}
			g.wantRecovered(true, missed[:read]...)
			<-e.nodes[1].sockets
			e.settle()
			e.kill(1)
			g.Vanish()
			e.say(t, 2, "a", "three")
			if read == 2 {
				e.wantRegained(t, g, 0, `["three",2]`)
				return
			}
			// Which of what it was sent it has had nobody knows but the node that has died.
			e.wantRestored(t, g, 0)
		})
	}
}

// A node that was cut off may have missed what the client has, and does not
// pretend to know.
func TestRegainWhereSomethingWasMissed(t *testing.T) {
	t.Parallel()
	e, g, _ := openHeard(t)
	e.links[1].Cut(true)
	await(t, "the others to miss it", func() bool { return len(e.buses[0].Members()) == 1 && len(e.buses[2].Members()) == 1 })
	e.links[1].Cut(false)
	for _, b := range e.buses {
		brokertest.AwaitMembers(t, b, 2)
	}
	e.settle()
	e.kill(0)
	g.Vanish()
	e.wantRestored(t, g, 1)
}
