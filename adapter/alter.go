package adapter

import (
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
	n.Local.alter(&m, rooms, Origin{}, func() (o Origin) {
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
		n.Local.alter(m, rooms, originOf(msg), nil)
	}
	return nil
}

// alter does to the sockets that m selects what it says. Where a Log is kept,
// nothing happens between that and tell, if that is set, and the Log keeps that
// it was said: sockets that come here from a node where it was not heard yet
// are in time for it.
func (l *Local) alter(m *message, rooms []Room, o Origin, tell func() Origin) {
	var out []*member
	g := l.sequence()
	l.each(g.unless(m.target, o), func(one *member) {
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
		g.overhear(overheard{origin: o, kind: m.kind, target: m.target, rooms: rooms, close: m.flags&flagClose != 0})
		g.proceed()
		l.mu.Lock()
		l.unlock() // which tells of the rooms
	}
	for _, one := range out {
		one.socket.Disconnect(m.flags&flagClose != 0)
	}
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
