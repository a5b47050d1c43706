package engineio

import (
	"time"

	"github.com/carillonhq/carillon/transport"
)

// Heartbeats (Engine.IO protocol v4, "Heartbeat"): the server pings, whatever
// the transport and whether or not a poll waits for it, and the pong starts
// the next interval. All is one timer, which knows nothing of transports: an
// upgrade neither stops nor resets it.

//
// In protocol 3 it is the client who pings, and the timer is for the next ping.

var (
	pingPacket = transport.Text("2")
	pongPacket = transport.Text("3")
)

// patience is how long the timer runs from a sign of life of the client's.
func (s *Session) patience() time.Duration {
	if s.protocol == 3 {
		return s.srv.opts.PingInterval + s.srv.opts.PingTimeout
	}
	return s.srv.opts.PingInterval
}

// arm sets the timer. It is called under Session.mu.
func (s *Session) arm(d time.Duration) {
	s.due = time.Now().Add(d)
	s.heart.set(d)
}

// beat is called when the timer ends.
func (s *Session) beat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == ended || time.Now().Before(s.due) {
		return // a pong came, or the end, while this call was on its way
	}
	if s.phase == closing {
		if s.bounded {
			s.abort(s.reason)
		}
		return
	}
	if s.pinged || s.protocol == 3 {
		s.abort(ReasonPingTimeout)
		return
	}
	s.pinged, s.extended = true, false
	_ = s.link.conn.Send(pingPacket) // a Conn that refuses it has ended, and says so
	s.arm(s.srv.opts.PingTimeout)
}

// pong takes the client's answer. One that nobody waits for means nothing.
func (s *Session) pong() {
	s.mu.Lock()
	ok := s.phase == open && s.pinged
	if ok {
		s.pinged = false
		s.arm(s.patience())
	}
	s.mu.Unlock()
	if f := s.srv.opts.Hooks.Heartbeat; ok && f != nil {
		f()
	}
}

// ping answers a client of protocol 3.
func (s *Session) ping() {
	s.mu.Lock()
	ok := s.phase == open
	if ok {
		_ = s.link.conn.Send(pongPacket) // a Conn that refuses it has ended, and says so
		s.arm(s.patience())
	}
	s.mu.Unlock()
	if f := s.srv.opts.Hooks.Heartbeat; ok && f != nil {
		f()
	}
}

// alive takes note of a packet. Once per ping it prolongs the wait for the
// pong, which may be stuck behind a large message (as engine.io 6.6.12 does).
// It is called under Session.mu.
func (s *Session) alive() {
	if s.phase == open && s.pinged && !s.extended {
		s.extended = true
		s.arm(s.srv.opts.PingTimeout)
	}
}
