package adapter

import (
	"fmt"
	"slices"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// An Estate is what is known of a socket whose node has died, so that another
// node can send it what it has missed. That is exact, for what the nodes that
// live have said, and for what the dead one has said to others: every node hears
// them in one order, and under the same numbers, so that what a client had heard
// when it got its last packet says of each message whether it has had that. Only
// what the dead node said to its own sockets, and to nobody else, is gone.
type Estate struct {
	Node    broker.NodeID // the dead one
	ID      SocketID
	Rooms   []Room       // but its own, before
	Changes []RoomChange // of them, in order
	Heard   Vector       // up to where the client has had what nodes said
	Owed    []Owed       // what other nodes said to the dead one alone

	// Since is when the client was there for sure, and heard what it was to get:
	// what was said here before it has had, whatever it tells.
	Since time.Time
}

// A RoomChange is that of one of a socket's rooms.
type RoomChange struct {
	Room   Room
	Joined bool
	Heard  Vector // up to where nodes were heard by then
}

// Inherit is Import of what a node has left that is dead. It fails with
// ErrTrimmed if this node may not have heard all of what the socket has missed,
// or keeps it no more.
func (g *Log) Inherit(s Socket, x *Estate) (Import, error) {
	late, err := g.owed(x)
	if err != nil {
		return Import{}, err
	}
	var in Import
	var missed []due
	h := history{id: x.ID, base: make(map[Room]bool), changes: x.Changes}
	for _, r := range x.Rooms {
		h.base[r] = true
	}
	for _, o := range late {
		if !o.target.selectsWhere(func(r Room) bool { return h.at(r, o.origin) }) {
			continue
		}
		switch o.kind {
		case kindBroadcast:
			missed = append(missed, due{o.packet, nil})
		case kindJoin, kindLeave:
			h.said = append(h.said, o)
		case kindDisconnect:
			in.Disconnect, in.Close = true, in.Close || o.close
		}
	}
	in.Start = g.Head()
	g.takeIn(s, h.now(), missed, x.Heard)
	return in, nil
}

// owed returns what was said that the socket may have missed, in the order of
// each node that said it.
func (g *Log) owed(x *Estate) (late []overheard, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.began.After(x.Since) {
		return nil, fmt.Errorf("%w: what was said before this node was there", ErrTrimmed)
	}
	for node, a := range g.absences {
		if a.deaf.After(x.Since) || node != x.Node && !a.left && a.down.After(x.Since) {
			return nil, fmt.Errorf("%w: something that node %s said may not have been heard", ErrTrimmed, node)
		}
	}
	late, err = g.since(x.Heard, func(o Origin, when time.Time) bool { return !x.Heard.Has(o) && when.After(x.Since) })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(late, byPosition)
	for _, o := range x.Owed {
		if x.Heard.Has(o.origin) {
			continue
		}
		i := slices.IndexFunc(late, func(l overheard) bool { return l.origin.Node == o.origin.Node && l.origin.Number > o.origin.Number })
		if i < 0 {
			i = len(late)
		}
		late = slices.Insert(late, i, o.overheard)
	}
	return late, nil
}

// A history says in which rooms a socket was.
type history struct {
	id      SocketID
	base    map[Room]bool
	changes []RoomChange
	said    []overheard // kindJoin and kindLeave, that the socket was meant by
}

// at reports whether the socket was in a room when its node heard what o names,
// or would have heard it: what was said since and is in h.said, included.
func (h *history) at(r Room, o Origin) bool {
	return h.when(r, func(c *RoomChange) bool { return !c.Heard.Has(o) })
}

// when is at, behind those changes that precede it.
func (h *history) when(r Room, precedes func(*RoomChange) bool) bool {
	if r == Room(h.id) {
		return true
	}
	in := h.base[r]
	var last *RoomChange
	for i := range h.changes {
		if c := &h.changes[i]; c.Room == r && precedes(c) {
			in, last = c.Joined, c
		}
	}
	for i := range h.said {
		if o := &h.said[i]; slices.Contains(o.rooms, r) && (last == nil || !last.Heard.Has(o.origin)) {
			in = o.kind == kindJoin
		}
	}
	return in
}

// now returns the rooms that the socket is in, but its own.
func (h *history) now() (rooms []Room) {
	all := func(*RoomChange) bool { return true }
	look := func(r Room) {
		if r != Room(h.id) && !slices.Contains(rooms, r) && h.when(r, all) {
			rooms = append(rooms, r)
		}
	}
	for r := range h.base {
		look(r)
	}
	for i := range h.changes {
		look(h.changes[i].Room)
	}
	for i := range h.said {
		for _, r := range h.said[i].rooms {
			look(r)
		}
	}
	slices.Sort(rooms)
	return rooms
}

// An absence is of a node that says it will leave, or is not heard.
type absence struct {
	when time.Time // of what changed last
	left bool      // it said that it was about to leave
	down time.Time // when it went down; zero if it is up
	died time.Time // when it did so at the earliest
	deaf time.Time // until when something that it said may not have been heard
}

// happened takes note of an event of the bus, where a node is down after a time of
// silence.
func (g *Log) happened(e broker.Event, silence time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a, now := g.absences[e.Node.ID], time.Now()
	switch {
	case e.Kind == broker.Thawed || e.Kind == broker.StateChanged && e.State == broker.Up:
		// For how long others have been silent by then this node can't tell.
		g.began = now
		return
	case e.Kind == broker.NodeDraining:
		a.left = true
	case e.Kind == broker.Gap:
		a.deaf = now
	case e.Kind == broker.NodeDown:
		a.down, a.died = now, now.Add(-silence)
	case e.Kind == broker.NodeUp && !a.down.IsZero():
		a.down, a.deaf, a.left = time.Time{}, now, false
	default:
		return
	}
	a.when = now
	if g.absences == nil {
		g.absences = make(map[broker.NodeID]absence)
	}
	g.absences[e.Node.ID] = a
}

// DiedBy returns when a node died at the earliest, if it is down.
func (g *Log) DiedBy(node broker.NodeID) (time.Time, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.absences[node]
	return a.died, !a.down.IsZero()
}

// An Owed is something that a node said to a dead one alone.
type Owed struct{ overheard }

// AppendOwed appends what this node has said to another alone, behind what a
// socket there had heard of this one, and since it was there for sure, a while
// ago. It reports false if some of that is not kept any more.
func (g *Log) AppendOwed(b []byte, dead broker.NodeID, behind uint64, ago time.Duration) ([]byte, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	since := time.Now().Add(-ago)
	if l := g.directs.lost[dead]; l.number > behind && l.when.After(since) {
		return b, false
	}
	for i := range g.directs.items {
		d := &g.directs.items[i]
		if d.to == dead && d.number > behind && d.when.After(since) {
			m := d.m.append(nil)
			b = appendNumber(b, d.number)
			b = appendString(b, m)
		}
	}
	return b, true
}

// DecodeOwed is the inverse of AppendOwed, of what a node has said.
func DecodeOwed(from broker.NodeID, b []byte) (all []Owed, err error) {
	d := decoder{b: b}
	for len(d.b) > 0 {
		number := d.number()
		body := d.bytes()
		if d.bad {
			return nil, errMalformed
		}
		m, err := decodeMessage(body)
		if err != nil {
			return nil, err
		}
		o := overheard{origin: Origin{from, number}, kind: m.kind, target: m.target, close: m.flags&flagClose != 0}
		switch m.kind {
		case kindBroadcast:
			o.packet = m.packet(m.body)
		case kindJoin, kindLeave:
			if o.rooms, err = decodeRooms(m.body); err != nil {
				return nil, err
			}
		case kindDisconnect:
		default:
			return nil, errMalformed
		}
		all = append(all, Owed{o})
	}
	return all, nil
}
