package socketio

import "github.com/carillonhq/carillon/transport/engineio"

// Pretend makes s take all clients for ones of a version of Engine.IO.
func (s *Server) Pretend(protocol int) {
	s.protocolOf = func(*engineio.Session) int { return protocol }
}
