package adapter

import "time"

// A Reach bounds how far back Log.Tail goes.
type Reach struct {
	Since   time.Time // nothing that was delivered before
	Packets int       // no more than so many,
	Bytes   int       // of so many bytes in all
}

// Tail returns how far back a socket's packets are within a Reach, and their
// size: it is no further than a Position, nor than what is kept. What stands
// there itself is not among them, and may have been for the socket. It is called
// within Sequence, or is out of date when it returns.
func (g *Log) Tail(id SocketID, behind Position, r Reach) (from Position, size int) {
	rooms := make(map[Room]bool)
	for _, room := range g.local.Rooms(id) {
		rooms[room] = true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	behind = max(behind, g.trimmed)
	packets := 0
	for i := g.n - 1; i >= 0; i-- {
		e := g.at(i)
		switch {
		case e.at <= behind:
			return behind, size
		case e.packet == nil:
			if e.id == id {
				rooms[e.target.Rooms[0]] = !e.joined
			}
		case e.target.selects(rooms):
			if packets == r.Packets || size+e.size > r.Bytes || e.when.Before(r.Since) {
				return e.at, size
			}
			packets++
			size += e.size
		}
	}
	return behind, size
}

// Forget takes the last place of each packet out of x, if that is on a node: what
// nobody was told of there.
func (x *Transfer) Forget(node string) {
	for i := range x.Missed {
		m := &x.Missed[i]
		if last := len(m.Former) - 1; last >= 0 && m.Former[last].Node == node {
			m.Former = m.Former[:last]
		}
	}
}
