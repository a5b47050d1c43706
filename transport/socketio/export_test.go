package socketio

import "github.com/carillonhq/carillon/transport/engineio"

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
