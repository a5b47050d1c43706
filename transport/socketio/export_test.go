package socketio

import (
	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport/engineio"
)

// Pretend makes s take all clients for ones of a version of Engine.IO.
func (s *Server) Pretend(protocol int) {
	s.protocolOf = func(*engineio.Session) int { return protocol }
}

// Whereabouts returns how many sockets the namespace knows not to be where their
// ids say.
func (n *Namespace) Whereabouts() int {
	if n.moves == nil {
		return 0
	}
	n.moves.mu.Lock()
	defer n.moves.mu.Unlock()
	return max(len(n.moves.bySID), len(n.moves.byPID))
}

// UnderWay returns how many sockets are coming, going, or promised a place.
func (n *Namespace) UnderWay() int {
	p := &n.server.recovery.promises
	p.mu.Lock()
	promised := len(p.to)
	p.mu.Unlock()
	n.moves.mu.Lock()
	defer n.moves.mu.Unlock()
	return promised + len(n.moves.takes) + len(n.moves.adopts) + len(n.moves.replies)
}

// Told and ToldGone are as if a node had said where a socket is, and that it is
// nowhere.
func (n *Namespace) Told(id adapter.SocketID, pid string, term uint64, node string) {
	n.moves.placed(&whereabouts{SID: id, PID: pid, Term: term, node: node})
}

func (n *Namespace) ToldGone(id adapter.SocketID, pid string, term uint64) {
	n.moves.gone(whereabouts{SID: id, PID: pid, Term: term})
}

// Commit is as if a node had asked for a seat that it was granted in a term.
func (n *Namespace) Commit(node, pid string, term uint64) {
	n.moves.commit(node, news{What: newsCommit, PID: pid, Term: term})
}

// Node is the name of this node among its peers.
func (n *Namespace) Node() string { return n.moves.peers.Node() }

// Arrive is as if a node gave a seat to this one.
func (n *Namespace) Arrive(node string, id adapter.SocketID, pid string, term uint64) {
	x := &adapter.Transfer{ID: id}
	n.moves.arrive(node, news{What: newsCommitted, Seat: &seatNews{PID: pid, Term: term}, rest: x.Append(nil)})
}
