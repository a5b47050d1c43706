package adapter

import (
	"slices"
	"sync"
)

// each calls f, without a lock held, for each member that t selects now.
func (l *Local) each(t Target, f func(*member)) {
	buf := selections.Get().(*[]*member)
	l.mu.RLock()
	selected := l.selected(t, (*buf)[:0])
	l.mu.RUnlock()
	for _, m := range selected {
		f(m)
	}
	clear(selected)
	*buf = selected
	selections.Put(buf)
}

// selections are scratch space: a broadcast to a big room needs a big one.
var selections = sync.Pool{New: func() any { return new([]*member) }}

// selected appends the members that t selects. It needs mu. What it allocates
// depends on t alone, not on how many they are.
func (l *Local) selected(t Target, to []*member) []*member {
	switch {
	case len(t.Except) > 0 || len(t.Rooms) > 1:
		return l.sifted(t, to)
	case len(t.Rooms) == 0:
		return append(to, l.all...)
	}
	name := t.Rooms[0]
	own := l.sockets[SocketID(name)]
	if own != nil {
		to = append(to, own)
	}
	r := l.rooms[name]
	if r == nil {
		return to
	}
	return append(to, r.members...) // own is not stored there
}

// sifted is selected where some are left out, or might come twice.
func (l *Local) sifted(t Target, to []*member) []*member {
	var except, rooms named
	except.find(l, t.Except)
	if len(t.Rooms) == 0 {
		for _, m := range l.all {
			if !except.has(m, len(except.rooms)) {
				to = append(to, m)
			}
		}
		return to
	}
	rooms.find(l, t.Rooms)
	for _, m := range rooms.sockets {
		if !except.has(m, len(except.rooms)) {
			to = append(to, m)
		}
	}
	for i, r := range rooms.rooms {
		for _, m := range r.members {
			// Those who came already were in a room before, or are named.
			if !rooms.has(m, i) && !except.has(m, len(except.rooms)) {
				to = append(to, m)
			}
		}
	}
	return to
}

// named are the rooms of a list that exist, each once, and the sockets whose
// own they are.
type named struct {
	sockets []*member
	rooms   []*room

	// Where they are many, these find them.
	isSocket map[*member]struct{}
	place    map[*room]int

	socketSpace [4]*member
	roomSpace   [8]*room
}

func (n *named) find(l *Local, names []Room) {
	n.sockets, n.rooms = n.socketSpace[:0], n.roomSpace[:0]
	if len(names) > len(n.roomSpace) {
		n.isSocket, n.place = make(map[*member]struct{}), make(map[*room]int)
	}
	for _, name := range names {
		if m := l.sockets[SocketID(name)]; m != nil && !n.names(m) {
			n.sockets = append(n.sockets, m)
			if n.isSocket != nil {
				n.isSocket[m] = struct{}{}
			}
		}
		r := l.rooms[name]
		if r == nil {
			continue
		}
		if n.place == nil {
			if !slices.Contains(n.rooms, r) {
				n.rooms = append(n.rooms, r)
			}
		} else if _, twice := n.place[r]; !twice {
			n.place[r] = len(n.rooms)
			n.rooms = append(n.rooms, r)
		}
	}
}

func (n *named) names(m *member) bool {
	if n.isSocket != nil {
		_, ok := n.isSocket[m]
		return ok
	}
	return slices.Contains(n.sockets, m)
}

// has reports whether m is named, or in one of the first rooms.
func (n *named) has(m *member, first int) bool {
	if len(n.sockets) > 0 && n.names(m) {
		return true
	}
	if n.place != nil && m.in.len() < first {
		for i := range m.in.few {
			if n.isAmong(m.in.few[i].room, first) {
				return true
			}
		}
		for r := range m.in.many {
			if n.isAmong(r, first) {
				return true
			}
		}
		return false
	}
	for _, r := range n.rooms[:first] {
		if _, in := m.in.find(r); in {
			return true
		}
	}
	return false
}

// isAmong reports whether r is one of the first rooms. It needs place.
func (n *named) isAmong(r *room, first int) bool {
	at, ok := n.place[r]
	return ok && at < first
}
