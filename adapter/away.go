package adapter

// Sockets that are away (Log.Park) are members of their rooms, and nobody
// counts them.

func (l *Local) setAway(id SocketID, away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.sockets[id]
	if m == nil || m.away == away {
		return
	}
	m.away = away
	by := 1
	if !away {
		by = -1
	}
	m.in.each(func(r *room) bool {
		r.away += by
		return true
	})
}

// present returns how many sockets are in a room, those that are away not
// counted. It needs mu.
func (l *Local) present(r *room) int {
	n := len(r.members) - r.away
	if m := l.sockets[SocketID(r.name)]; m != nil && !m.away {
		n++
	}
	return n
}
