package engineio

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/polling"
)

// A session that is still held when its client completes an upgrade at another
// node moves there: it ends here, unheard of by the application, and begins
// there with all that was to be said to the client and by it.

// A movedSession is a session on its way.
type movedSession struct {
	ID         string
	Protocol   int
	Header     http.Header
	URL        string
	RemoteAddr string
	Secure     bool
	Time       time.Time
	Queue      []movedFrames     // for the client
	Held       []transport.Frame // of the client
	Pinged     bool              // a pong is awaited
	Extended   bool
	Due        time.Duration // until the next ping, or for the pong
}

// movedFrames are transport.Frames on their way.
type movedFrames struct {
	Parts []transport.Frame
	Plain bool
}

// depart ends the session for its move by way of a candidate, if it can move.
func (s *Session) depart(l *link) (state []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.candidate != l || s.phase != open {
		return nil, false
	}
	held, ok := s.held().take()
	if !ok {
		return nil, false
	}
	queue, ok := s.link.conn.(*polling.Conn).Detach()
	if !ok { // polling has just ended, and the session with it
		return nil, false
	}
	m := movedSession{
		ID:         s.id,
		Protocol:   s.protocol,
		Header:     s.handshake.Header,
		URL:        s.handshake.URL.String(),
		RemoteAddr: s.handshake.RemoteAddr,
		Secure:     s.handshake.Secure,
		Time:       s.handshake.Time,
		Held:       held,
		Pinged:     s.pinged,
		Extended:   s.extended,
		Due:        time.Until(s.due),
	}
	for _, f := range queue {
		m.Queue = append(m.Queue, movedFrames{f.Parts(), !f.Compressible()})
	}
	s.candidate = nil
	s.upgrading.stop()
	s.end(ReasonMoved)         // the polling Conn's Closed does the rest
	state, _ = json.Marshal(m) // all of its fields always encode
	return state, true
}

// arrive makes a session that was another node's one of this Server, over the
// edge's WebSocket. It is called on the Conn's goroutine; an error closes that.
func (e *edge) arrive(state []byte) error {
	srv := e.p.srv
	var m movedSession
	u := new(url.URL)
	err := json.Unmarshal(state, &m)
	if err == nil {
		u, err = url.Parse(m.URL)
	}
	if err == nil && m.Protocol != 4 { // of protocol 3 nobody is held
		err = fmt.Errorf("%w: of protocol %d", errPeerMessage, m.Protocol)
	}
	if err != nil {
		return fmt.Errorf("a session that moves here: %w", err)
	}
	sess := newSession(srv, m.ID, &Handshake{Header: m.Header, URL: u, RemoteAddr: m.RemoteAddr, Secure: m.Secure, Time: m.Time}, m.Protocol)
	if _, ok := srv.register(sess); !ok {
		e.state = edgeDown
		e.conn.GoAway()
		return nil
	}
	sess.release = e.release
	l := sess.newLink(WebSocket, e.conn)
	e.become(l)
	sess.resume(l, &m)
	srv.opened(WebSocket)
	if f := srv.opts.Hooks.Moved; f != nil {
		f()
	}
	recv := srv.begun(sess, func() Receiver { return srv.accept(sess) })
	for _, f := range m.Held {
		if err := recv.Message(f.Binary, f.Data); err != nil {
			return parseError{err}
		}
	}
	return nil
}

// resume is attach of a session that goes on.
func (s *Session) resume(l *link, m *movedSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link = l
	for _, q := range m.Queue {
		f := transport.NewFrames(q.Parts...)
		if q.Plain {
			f.NoCompress()
		}
		_ = l.conn.Send(f) // can only fail by the end of the Conn, which is told to l
	}
	switch s.phase {
	case opening:
		s.phase = open
		s.pinged, s.extended = m.Pinged, m.Extended
		s.arm(min(max(m.Due, 0), s.patience()))
	case closing:
		s.closeConn(l.conn)
	case ended:
		l.conn.Abort()
	}
}

// begun has the receiver of a session called, and returns who hears of it.
func (s *Server) begun(sess *Session, receiver func() Receiver) (recv Receiver) {
	defer func() { // also if it panics, which is for the Conn, or net/http, to report
		if recv == nil {
			sess.Abort(ReasonForcedClose)
			recv = deaf{}
		}
		sess.mu.Lock()
		sess.recv = recv
		sess.mu.Unlock()
	}()
	return receiver()
}
