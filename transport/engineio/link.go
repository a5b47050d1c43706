package engineio

import (
	"errors"

	"github.com/carillonhq/carillon/transport"
)

// A link is one transport of a session, as the Receiver of its Conn.
type link struct {
	s    *Session
	name string
	conn transport.Conn // of a candidate: nil, under Session.mu, until its request was answered
	done chan struct{}  // of one over polling: closed when it is not in use any more and has ended

	failed string // why it was turned down as a candidate; guarded by Session.mu
}

func (s *Session) newLink(name string, c transport.Conn) *link {
	l := &link{s: s, name: name, conn: c}
	if name == Polling {
		l.done = make(chan struct{})
	}
	return l
}

// Frame takes a packet of the client. What it means depends on whether the
// link is in use, is a candidate for an upgrade, or was one.
func (l *link) Frame(binary bool, data []byte) error {
	s := l.s
	s.mu.Lock()
	inUse, candidate, over := l == s.link, l == s.candidate, s.phase == ended
	if inUse && !over {
		s.alive()
	}
	s.mu.Unlock()
	switch {
	case inUse && over:
		return errEnded
	case inUse:
		return s.packet(binary, data)
	case candidate:
		return s.probe(l, binary, data)
	}
	return nil // of a candidate that was turned down and has not heard of it yet
}

// Closed is the end of the link.
func (l *link) Closed(err error) { l.s.gone(l, err) }

// packet handles a packet of the transport in use
// (Engine.IO protocol v4, "Packet types").
func (s *Session) packet(binary bool, data []byte) error {
	if binary {
		return s.message(true, data)
	}
	if len(data) == 0 {
		return errPacket
	}
	switch data[0] {
	case '0', '5', '6': // of no meaning here, and ignored by Node as well
		return nil
	case '1':
		s.mu.Lock() // a Conn over polling sees to it itself
		defer s.mu.Unlock()
		s.close(ReasonTransportClose)
		return transport.ErrClosed // so that nothing behind it is heard
	case '2':
		if s.protocol == 4 {
			return errHeartbeat
		}
		s.ping()
		return nil
	case '3':
		if s.protocol == 3 {
			return errHeartbeat
		}
		s.pong()
		return nil
	case '4':
		return s.message(false, data[1:])
	}
	return errPacket
}

func (s *Session) message(binary bool, data []byte) error {
	s.srv.received(len(data))
	err := s.recv.Message(binary, data)
	if err == nil || errors.Is(err, errEnded) {
		return err
	}
	return parseError{err}
}
