package adapter

import (
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// movedSockets are the sockets that are not on the node that their ids begin
// with, as far as this node was told.
type movedSockets struct {
	mu    sync.RWMutex // guards nodes
	nodes map[SocketID]*placed
	lived map[SocketID]time.Time // those of Outlive, and until when that matters
}

// lateDirect is how late something may come that was said to this node when
// others did not know yet that it was silent.
const lateDirect = time.Minute

// Outlive implements Peers.
func (n *clustered) Outlive(id SocketID) {
	n.places.mu.Lock()
	defer n.places.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(n.places.lived, func(_ SocketID, until time.Time) bool { return !now.Before(until) })
	if n.places.lived == nil {
		n.places.lived = make(map[SocketID]time.Time)
	}
	n.places.lived[id] = now.Add(lateDirect)
}

func (n *clustered) outlived(id SocketID) bool {
	n.places.mu.RLock()
	defer n.places.mu.RUnlock()
	until, ok := n.places.lived[id]
	return ok && time.Now().Before(until)
}

// A placed is where a socket was said to be.
type placed struct {
	node broker.NodeID
	used atomic.Bool // something was to go there since
}

// Place implements Peers.
func (n *clustered) Place(id SocketID, node string) (used bool) {
	m, known := n.cluster.bus.Lookup(node)
	n.places.mu.Lock()
	defer n.places.mu.Unlock()
	if before := n.places.nodes[id]; before != nil {
		if used = before.used.Load(); known && before.node == m.ID {
			return used // and it is still the same being there
		}
	}
	if !known || len(id) == idLen && node == string(id[:len(n.prefix)]) {
		delete(n.places.nodes, id)
		return used
	}
	if n.places.nodes == nil {
		n.places.nodes = make(map[SocketID]*placed)
	}
	n.places.nodes[id] = &placed{node: m.ID}
	return used
}

// place returns where a socket is that has moved.
func (n *clustered) place(id SocketID) (broker.NodeID, bool) {
	n.places.mu.RLock()
	defer n.places.mu.RUnlock()
	p := n.places.nodes[id]
	if p == nil {
		return broker.NodeID{}, false
	}
	p.used.Store(true)
	return p.node, true
}

// wayTo is place, also of a socket that is not here and has gone back to the node
// that its id begins with.
func (n *clustered) wayTo(id SocketID) (broker.NodeID, bool) {
	if node, moved := n.place(id); moved {
		return node, true
	}
	n.Local.mu.RLock()
	_, here := n.Local.sockets[id]
	n.Local.mu.RUnlock()
	if here {
		return broker.NodeID{}, false
	}
	m, up := n.cluster.bus.Lookup(string(id[:len(n.prefix)]))
	return m.ID, up
}

const maxHops = 4

// passOn sends a message for one socket after it, and reports whether that was
// what was to be done. It needs the sequencer, so that what comes before the
// socket has gone is for it, and what comes afterwards behind it.
func (n *clustered) passOn(m *message) bool {
	if m.flags&flagRouted == 0 || len(m.target.Rooms) != 1 || len(m.target.Rooms[0]) != idLen {
		return false
	}
	node, known := n.wayTo(SocketID(m.target.Rooms[0]))
	if !known || node == n.cluster.bus.Self().ID {
		return false
	}
	if n.outlived(SocketID(m.target.Rooms[0])) {
		return true
	}
	on := *m
	on.namespace = n.name
	if on.kind == kindDeliver {
		on.kind = kindBroadcast // whoever asked is told that it is on its way
	}
	err := broker.ErrUnknownNode
	if m.flags&flagHops < maxHops*flagHop {
		on.flags += flagHop
		var number uint64
		number, err = n.cluster.bus.SayTo(node, channel, on.append(nil))
		n.log.Load().keepDirect(node, number, on)
	}
	if errors.Is(err, broker.ErrUnknownNode) { // or has been passed on all the time
		on.flags &^= flagRouted | flagHops
		err = n.cluster.bus.Broadcast(channel, on.append(nil))
	}
	if err != nil {
		n.cluster.logger.Warn("not passed on to the node where the socket is", "socket", m.target.Rooms[0], "error", err)
	}
	return true
}
