package engineio

import (
	"errors"

	"github.com/carillonhq/carillon/transport"
)

// The transitions of a session. Those without a lock of their own are called
// under Session.mu.
//
//	opening → open               attach: the transport is there, "0" is queued
//	opening, open → closing      Close, or a close packet on a WebSocket
//	any → ended                  Abort, a missed pong, or the end of the transport in use
//
// Beside it, while open over polling: no candidate → candidate (reserve) →
// none (drop: something unexpected, the time limit, its own end) or in use
// (complete).

// attach gives a session its first transport and queues the open packet.
// Close or Abort may have come before it.
func (s *Session) attach(l *link, hello *transport.Frames) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link = l
	_ = l.conn.Send(hello) // can only fail by the end of the Conn, which is told to l
	if f := s.srv.opts.InitialPacket; f != nil {
		_ = l.conn.Send(f)
	}
	switch s.phase {
	case opening:
		s.phase = open
		s.arm(s.patience())
	case closing:
		s.closeConn(l.conn)
	case ended:
		l.conn.Abort()
	}
}

// close leaves a candidate alone: the client may have ended its polling
// already, and can only get what is queued by completing the upgrade.
func (s *Session) close(reason Reason) {
	if s.phase >= closing {
		return
	}
	s.phase, s.reason = closing, reason
	s.heart.stop() // the Conn bounds the rest
	if s.link != nil {
		s.closeConn(s.link.conn)
	}
}

// closeConn closes the transport in use, in the way that the session is closed.
func (s *Session) closeConn(c transport.Conn) {
	if w, ok := c.(interface{ GoAway() }); ok && s.away {
		w.GoAway()
		return
	}
	c.Close()
}

func (s *Session) abort(reason Reason) {
	if s.phase == ended {
		return
	}
	s.end(reason)
	if s.link != nil {
		s.link.conn.Abort()
	}
	if e, ok := s.recv.(Ender); ok {
		s.srv.wg.Go(e.Ended) // the session is counted there itself, until gone
	}
}

// end enters the phase ended. A reason given before stands.
func (s *Session) end(reason Reason) {
	s.phase = ended
	if s.reason == "" {
		s.reason = reason
	}
	s.heart.stop()
	s.drop("closed")
}

// gone is called when a transport has ended, as the last that is heard of it.
func (s *Session) gone(l *link, err error) {
	s.mu.Lock()
	if l != s.link {
		if l == s.candidate {
			s.drop("closed")
		}
		failed := l.failed
		s.mu.Unlock()
		if l.done != nil {
			close(l.done)
		}
		if f := s.srv.opts.Hooks.UpgradeFailed; failed != "" && f != nil {
			f(failed)
		}
		return
	}
	reason, err := reasonOf(err)
	if s.phase != ended {
		s.end(reason)
	}
	reason = s.reason
	s.mu.Unlock()

	defer s.srv.wg.Done()
	s.srv.forget(s)
	s.release()
	if errors.Is(err, errEnded) {
		err = nil // the echo of our own end
	}
	s.srv.closed(l.name, reason, err)
	s.recv.Closed(reason, err)
}
