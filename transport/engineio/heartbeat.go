package engineio

import (
	"time"

	"github.com/carillonhq/carillon/transport"
)

// Heartbeats (Engine.IO protocol v4, "Heartbeat"): the server pings, whatever
// the transport and whether or not a poll waits for it, and the pong starts
// the next interval. All is one timer, which knows nothing of transports: an
// upgrade neither stops nor resets it.

var ping = transport.Text("2")

// arm sets the timer. It is called under Session.mu.
func (s *Session) arm(d time.Duration) {
	s.due = time.Now().Add(d)
	s.heart.set(d)
}

// beat is called when the timer ends.
func (s *Session) beat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != open || time.Now().Before(s.due) {
		return // a pong came, or the end, while this call was on its way
	}
	if s.pinged {
		s.abort(ReasonPingTimeout)
		return
	}
	s.pinged, s.extended = true, false
	_ = s.link.conn.Send(ping) // a Conn that refuses it has ended, and says so
	s.arm(s.srv.opts.PingTimeout)
}

// pong takes the client's answer. One that nobody waits for means nothing.
func (s *Session) pong() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == open && s.pinged {
		s.pinged = false
		s.arm(s.srv.opts.PingInterval)
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
