package adapter

import (
	"slices"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// JoinAll implements Adapter.
func (n *clustered) JoinAll(t Target, rooms ...Room) error {
	return n.alter(message{kind: kindJoin, target: t, body: appendRooms(nil, rooms)}, rooms)
}

// LeaveAll implements Adapter.
func (n *clustered) LeaveAll(t Target, rooms ...Room) error {
	return n.alter(message{kind: kindLeave, target: t, body: appendRooms(nil, rooms)}, rooms)
}

// DisconnectAll implements Adapter.
func (n *clustered) DisconnectAll(t Target, close bool) error {
	m := message{kind: kindDisconnect, target: t}
	if close {
		m.flags = flagClose
	}
	return n.alter(m, nil)
}

// alter does to sockets of this node what m says, and has other nodes do so.
func (n *clustered) alter(m message, rooms []Room) (err error) {
	if n.isClosed() {
		return ErrClosed
	}
	n.Local.alter(&m, rooms, Origin{}, nil, func() (o Origin) {
		o, err = n.tell(m)
		return o
	})
	return err
}

// altered does what another node asked for with alter.
func (n *clustered) altered(msg broker.Message, m *message) (err error) {
	var rooms []Room
	if m.kind != kindDisconnect {
		if rooms, err = decodeRooms(m.body); err != nil {
			return err
		}
	}
	if !n.isClosed() {
		n.Local.alter(m, rooms, originOf(msg), n.passOn, nil)
	}
	return nil
}

// alter does to the sockets that m selects what it says. Where a Log is kept,
// nothing happens between that and tell, if that is set, and the Log keeps that
// it was said: sockets that come here from a node where it was not heard yet
// are in time for it. Unless nil, passOn is asked first whether it does all.
func (l *Local) alter(m *message, rooms []Room, o Origin, passOn func(*message) bool, tell func() Origin) {
	var out []*member
	g := l.sequence()
	if passOn != nil && passOn(m) {
		g.proceed()
		return
	}
	t, routed := m.target, m.flags&flagRouted != 0
	if !routed {
		t = g.unless(t, o)
	}
	left := m.target // of whom the Log is to know
	l.each(t, func(one *member) {
		if routed { // no other node has it: who has had it is not to have it again on its return
			left.Rooms = without(left.Rooms, Room(one.id))
		}
		switch {
		case m.kind == kindDisconnect:
			out = append(out, one)
		case g == nil && m.kind == kindJoin:
			l.Join(one.id, rooms...)
		case g == nil:
			l.Leave(one.id, rooms...)
		default:
			l.enrol(one.id, rooms, m.kind == kindJoin, g)
		}
	})
	if tell != nil {
		o = tell()
	}
	if g != nil {
		g.mu.Lock()
		g.hear(o, time.Now())
		g.mu.Unlock()
		if !routed || len(left.Rooms) > 0 {
			g.overhear(overheard{origin: o, routed: routed, kind: m.kind, target: left, rooms: rooms, close: m.flags&flagClose != 0})
		}
		g.proceed()
		g.told()
	}
	for _, one := range out {
		one.socket.Disconnect(m.flags&flagClose != 0)
	}
}

func without(rooms []Room, r Room) []Room {
	return slices.DeleteFunc(slices.Clone(rooms), func(other Room) bool { return other == r })
}

// enrol has a socket join rooms, or leave them, and leaves it to another to tell
// of it. It needs the sequencer of g.
func (l *Local) enrol(id SocketID, rooms []Room, join bool, g *Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.sockets[id]
	switch {
	case m == nil:
	case join:
		l.join(m, rooms, g)
	default:
		for _, name := range rooms {
			if r := l.rooms[name]; r != nil {
				l.leave(m, r, g)
			}
		}
	}
}
