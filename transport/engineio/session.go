package engineio

import (
	"sync"
	"time"

	"github.com/carillonhq/carillon/transport"
)

// A Receiver hears a session's messages. Its methods are called one at a
// time.
type Receiver interface {
	// Message is called with each message of the client, in its order. The
	// receiver owns data. It may block: the session then reads nothing more.
	// It is still called while the session is closing. An error closes the
	// session with ReasonParseError.
	Message(binary bool, data []byte) error

	// Closed is called exactly once and last. err may tell more about the
	// reason, or be nil.
	Closed(reason Reason, err error)
}

// An Ender is a Receiver that is told at once when its session was aborted, as
// after a missed pong, though a call of Message goes on: Closed waits for that.
type Ender interface {
	// Ended is called at most once, on a goroutine of its own.
	Ended()
}

// phase is where a session stands in its life. It only ever rises.
type phase int

const (
	opening phase = iota // its transport is not there yet; requests do not find it
	open
	closing // Close was called: what is queued goes out, what comes is still taken
	ended   // its transport was aborted or has closed; Closed is called, or will be
)

// A Session is one client of a Server, over whichever transport it uses at
// the moment. Its methods may be called concurrently, also by its Receiver.
type Session struct {
	srv       *Server
	id        string
	handshake *Handshake
	protocol  int      // 3 or 4
	release   func()   // what Options.Admit returned; called at the end
	recv      Receiver // set, under mu, before anything is read

	mu        sync.Mutex // guards the fields below
	phase     phase
	away      bool  // it is closing because the server stops
	bounded   bool  // heart bounds that
	link      *link // the transport in use; nil while opening
	candidate *link // a WebSocket that may take its place
	reason    Reason

	heart     alarm     // see heartbeat.go
	due       time.Time // when heart was last set for
	pinged    bool      // a pong is awaited
	extended  bool      // and another packet has come meanwhile
	upgrading alarm     // gives the candidate up
	upgradeBy time.Time // when upgrading was last set for
}

func newSession(srv *Server, id string, h *Handshake, protocol int) *Session {
	s := &Session{srv: srv, id: id, handshake: h, protocol: protocol}
	s.heart = alarm{wg: &srv.wg, f: s.beat}
	s.upgrading = alarm{wg: &srv.wg, f: s.upgradeTimeout}
	return s
}

// ID is what the client calls "sid".
func (s *Session) ID() string { return s.id }

// Protocol is the version of Engine.IO that the client speaks: 4, or 3 where
// Options.AllowEIO3 admits it. What is sent and received is the same.
func (s *Session) Protocol() int { return s.protocol }

// Handshake is what the session's first request said.
func (s *Session) Handshake() *Handshake { return s.handshake }

// Transport is the name of the transport in use: Polling or WebSocket.
func (s *Session) Transport() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == nil {
		return ""
	}
	return s.link.name
}

// Send queues f behind all that was sent before, whatever the transport. Each
// text frame of f begins with the digit of its type, "4" for a message, so
// that one Frames serves all sessions. Send never waits for the client. It
// fails with transport.ErrClosed once the session is closing, and with
// transport.ErrSlow when Options.MaxQueue is reached, which ends the session.
func (s *Session) Send(f *transport.Frames) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != open {
		return transport.ErrClosed
	}
	err := s.link.conn.Send(f)
	if err == nil {
		s.srv.sent(f)
	}
	return err
}

// SendVolatile queues f if the client is taking its frames now, and otherwise
// drops it; it reports whether f was queued. Over polling, a client takes its
// frames while one of its polls waits.
func (s *Session) SendVolatile(f *transport.Frames) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != open || !s.link.conn.SendVolatile(f) {
		return false
	}
	s.srv.sent(f)
	return true
}

// Buffered is the number of bytes queued and not yet on their way.
func (s *Session) Buffered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == nil {
		return 0
	}
	return s.link.conn.Buffered()
}

// Close lets what was sent reach the client, within Options.CloseTimeout, and
// then ends the session with ReasonForcedClose. It returns at once.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close(ReasonForcedClose)
}

// GoAway is Close for a server that stops. The client is told so, by the
// status 1001 of its WebSocket, and connects again to whoever answers then. It
// has two seconds, or Options.CloseTimeout if that is less, to take what was
// sent and to answer.
func (s *Session) GoAway() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase < closing {
		s.away = true
	}
	s.close(ReasonForcedClose)
	if s.phase == closing && !s.bounded {
		s.bounded = true
		s.arm(min(awayTimeout, s.srv.opts.CloseTimeout))
	}
}

// Abort ends the session at once, for the given reason, and discards what is
// queued.
func (s *Session) Abort(reason Reason) {
	if reason == "" {
		reason = ReasonForcedClose
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abort(reason)
}
