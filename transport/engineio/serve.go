package engineio

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/polling"
	"github.com/carillonhq/carillon/transport/websocket"
)

// ServeHTTP answers a request of a client, whatever its path. The checks and
// their order are those of Node's server, but that the protocol version is
// looked at before Options.Allow is asked.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.cross(w, r) {
		return
	}
	query := r.URL.Query()
	name, id := query.Get("transport"), query.Get("sid")
	if !slices.Contains(s.opts.Transports, name) {
		s.refuse(w, r, unknownTransport.with("transport", name))
		return
	}
	if origin := r.Header.Get("Origin"); !validHeader(origin) {
		s.refuse(w, r, badRequest.because("INVALID_ORIGIN", "origin", origin))
		return
	}
	if id == "" {
		s.first(w, r, name, query)
		return
	}
	sess := s.lookup(id)
	if sess == nil {
		if s.peering.forward(w, r, name, id, query) {
			return
		}
		s.refuse(w, r, unknownSession.with("sid", id))
		return
	}
	upgrade, v := isUpgrade(r), version(query)
	switch {
	case v != sess.Protocol():
		s.refuse(w, r, badRequest.because("PROTOCOL_MISMATCH", "protocol", v, "previousProtocol", sess.Protocol()))
	case upgrade && (name != WebSocket || s.opts.DisableUpgrades):
		s.refuse(w, r, badRequest.because("TRANSPORT_HANDSHAKE_ERROR"))
	case upgrade:
		sess.upgrade(w, r, dialect(query))
	default:
		s.serve(w, r, sess, name)
	}
}

// first answers a request that names no session.
func (s *Server) first(w http.ResponseWriter, r *http.Request, name string, query url.Values) {
	switch v := version(query); {
	case r.Method != http.MethodGet:
		s.refuse(w, r, badMethod.with("method", r.Method))
		return
	case isUpgrade(r) != (name == WebSocket):
		s.refuse(w, r, badRequest.because("TRANSPORT_HANDSHAKE_ERROR"))
		return
	case v == 0 || v == 3 && !s.opts.AllowEIO3:
		if v == 0 {
			s.refuse(w, r, badVersion.with("protocol", query.Get("EIO")))
		} else {
			s.refuse(w, r, badVersion.with("protocol", v))
		}
		return
	}
	if s.opts.Allow != nil {
		if err := s.opts.Allow(r); err != nil {
			s.refuse(w, r, forbid(err))
			return
		}
	}
	release, err := s.admit(r)
	if err != nil {
		s.refuse(w, r, forbid(err))
		return
	}
	s.handshake(w, r, query, release)
}

// admit has a connection counted, until release is called.
func (s *Server) admit(r *http.Request) (release func(), err error) {
	if s.opts.Admit != nil {
		release, err = s.opts.Admit(r)
	}
	if release == nil {
		release = func() {}
	}
	return release, err
}

// isUpgrade reports whether r asks for a WebSocket (RFC 6455, section 4.1).
func isUpgrade(r *http.Request) bool {
	return hasToken(r.Header["Connection"], "upgrade") && hasToken(r.Header["Upgrade"], "websocket")
}

func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// serve answers a polling request of a session.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, sess *Session, name string) {
	if name == Polling {
		conn, ok := sess.polling()
		if ok && conn.Serve(w, r) == nil {
			return
		}
	}
	s.refuse(w, r, sess.unserved(name))
}

func (s *Session) polling() (*polling.Conn, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn, ok := s.link.conn.(*polling.Conn)
	return conn, ok
}

// handshake opens a session. All that can be refused is refused before a
// WebSocket is opened. It sees to the call of release.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request, query url.Values, release func()) {
	id, err := s.opts.NewID(r)
	if s.peering != nil && id != "" {
		id = s.peering.self + "-" + id
	}
	if err != nil || id == "" {
		release()
		s.log.Warn("session ID not generated", "err", err)
		s.refuse(w, r, badRequest.because("ID_GENERATION_ERROR", "error", err))
		return
	}
	sess := newSession(s, id, handshakeOf(r), version(query))
	sess.release = release
	if e, ok := s.register(sess); !ok {
		release()
		s.refuse(w, r, e)
		return
	}
	undo := s.setCookie(w, id)
	if isUpgrade(r) {
		conn, err := s.websocket.Accept(w, r)
		if err != nil {
			s.cancel(sess)
			if _, ours := errors.AsType[*websocket.HandshakeError](err); ours {
				undo()
				s.refuse(w, r, badRequest.because("TRANSPORT_HANDSHAKE_ERROR", "error", err))
			}
			return
		}
		conn.Speak(dialect(query))
		s.begin(sess, WebSocket, conn)
		return
	}
	conn, err := s.polling.Accept()
	if err != nil {
		s.cancel(sess)
		undo()
		s.refuse(w, r, shuttingDown)
		return
	}
	conn.Speak(dialect(query), jsonp(query))
	s.begin(sess, Polling, conn)
	if conn.Serve(w, r) != nil {
		undo()
		s.refuse(w, r, unknownSession.with("sid", id)) // accept has ended it
	}
}

// begin hands a session with its first transport to the application.
func (s *Server) begin(sess *Session, name string, conn interface {
	transport.Conn
	Start(transport.Receiver)
},
) {
	l := sess.newLink(name, conn)
	sess.attach(l, s.openPacket(sess.id, name))
	s.opened(name)
	defer conn.Start(l) // also if the application panics
	s.begun(sess, func() Receiver { return s.receiver(sess, name) })
}

// cancel undoes register for a session that never began.
func (s *Server) cancel(sess *Session) {
	s.forget(sess)
	sess.release()
	s.wg.Done()
}

// deaf receives for a session that nobody wanted.
type deaf struct{}

func (deaf) Message(bool, []byte) error { return nil }
func (deaf) Closed(Reason, error)       {}
