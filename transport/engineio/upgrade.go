package engineio

import (
	"errors"
	"net/http"
	"time"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/polling"
	"github.com/carillonhq/carillon/transport/websocket"
)

// Upgrades (Engine.IO protocol v4, "Upgrade"). The client opens a WebSocket
// with its sid, the candidate, and sends "2probe" on it; the answer "3probe"
// makes it end its polling, for which a waiting poll is released; "5" then
// says that the candidate is to be used.

var probed = transport.Text("3probe")

// upgrade answers a WebSocket request that names a session.
func (s *Session) upgrade(w http.ResponseWriter, r *http.Request, d transport.Dialect) {
	l := s.newLink(WebSocket, nil)
	ok := s.reserve(l)
	conn, err := s.srv.websocket.Accept(w, r)
	if err != nil {
		if ok {
			s.dropped(l, "refused")
		}
		if _, ours := errors.AsType[*websocket.HandshakeError](err); ours {
			s.srv.refuse(w, r, badRequest.because("TRANSPORT_HANDSHAKE_ERROR", "error", err))
		}
		return
	}
	if !ok {
		// As Node does, and as client libraries expect: a second candidate,
		// or one for a session that has no use for it, is opened and closed.
		conn.Start(stray{})
		conn.Close()
		return
	}
	conn.Speak(d)
	s.mu.Lock()
	l.conn = conn
	dropped := s.candidate != l
	s.mu.Unlock()
	conn.Start(l)
	if dropped {
		conn.Close()
	}
}

// reserve makes l, whose Conn is yet to come, the candidate, if the session
// can have one.
func (s *Session) reserve(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != open || s.link.name != Polling || s.candidate != nil {
		return false
	}
	s.candidate = l
	s.upgradeBy = time.Now().Add(s.srv.opts.UpgradeTimeout)
	s.upgrading.set(s.srv.opts.UpgradeTimeout)
	if _, elsewhere := l.conn.(*pipe); elsewhere {
		s.held().within(max(holdUpgrade, s.srv.opts.UpgradeHold))
	} else {
		s.held().within(0) // it stays
	}
	return true
}

// probe handles what a candidate says. Anything but the two packets turns it
// down, and the session goes on without it.
func (s *Session) probe(l *link, binary bool, data []byte) error {
	switch {
	case !binary && string(data) == "2probe":
		_ = l.conn.Send(probed) // fails only by the end of the candidate
		s.probed(l)
	case !binary && len(data) > 0 && data[0] == '5':
		s.complete(l)
	default:
		s.dropped(l, "packet")
	}
	return nil
}

// probed follows that a candidate has answered the probe.
func (s *Session) probed(l *link) {
	s.mu.Lock()
	ok := s.candidate == l
	if ok {
		s.link.conn.(*polling.Conn).Release()
	}
	s.mu.Unlock()
	if f := s.srv.opts.Hooks.Upgrading; ok && f != nil {
		f()
	}
}

// complete puts l in the place of the polling transport: what was queued
// there goes first, and nothing can be sent in between. It returns when all
// that came by polling was taken, so that what l brings comes behind it.
func (s *Session) complete(l *link) {
	s.mu.Lock()
	if s.candidate != l {
		s.mu.Unlock()
		return
	}
	old := s.link
	queue, ok := old.conn.(*polling.Conn).Detach()
	if !ok { // polling has just ended, and the session with it
		s.drop("closed")
		s.mu.Unlock()
		return
	}
	s.upgrading.stop()
	s.link, s.candidate = l, nil
	for _, f := range queue {
		if l.conn.Send(f) != nil {
			break // l has ended, and says so
		}
	}
	if s.phase == closing {
		s.closeConn(l.conn)
	}
	s.mu.Unlock()
	<-old.done // a correct client has no POST under way: there is nothing to wait for
	if h, ok := s.recv.(*hold); ok {
		h.release()
		<-h.opened
	}
	s.srv.upgraded(s.recv)
}

// dropped is drop of l, if it still is the candidate.
func (s *Session) dropped(l *link, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.candidate == l {
		s.drop(why)
	}
}

// drop turns the candidate down, if there is one. It is called under
// Session.mu.
func (s *Session) drop(why string) {
	l := s.candidate
	if l == nil {
		return
	}
	s.candidate, l.failed = nil, why
	s.upgrading.stop()
	s.held().within(0)
	if p, ok := s.link.conn.(*polling.Conn); ok {
		p.Resume()
	}
	if l.conn != nil { // else its request will see that it was dropped
		l.conn.Close()
	}
}

func (s *Session) upgradeTimeout() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !time.Now().Before(s.upgradeBy) { // else it is about a candidate that is gone
		s.drop("timeout")
	}
}

// stray receives from a WebSocket that belongs to no session.
type stray struct{}

func (stray) Frame(bool, []byte) error { return transport.ErrClosed }
func (stray) Closed(error)             {}
