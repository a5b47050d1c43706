package engineio

import (
	"errors"
	"net/http"
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
	v4 := query.Get("EIO") == "4"
	upgrade := isUpgrade(r)

	if !slices.Contains(s.opts.Transports, name) {
		s.refuse(w, upgrade, unknownTransport)
		return
	}
	if id != "" {
		sess := s.lookup(id)
		switch {
		case sess == nil:
			s.refuse(w, upgrade, unknownSession)
		case !v4 || upgrade && (name != WebSocket || s.opts.DisableUpgrades):
			s.refuse(w, upgrade, badRequest)
		case upgrade:
			sess.upgrade(w, r)
		default:
			s.serve(w, r, sess, name)
		}
		return
	}
	switch {
	case r.Method != http.MethodGet:
		s.refuse(w, upgrade, badMethod)
	case upgrade != (name == WebSocket):
		s.refuse(w, upgrade, badRequest)
	case !v4:
		s.refuse(w, upgrade, badVersion)
	default:
		if s.opts.Allow != nil {
			if err := s.opts.Allow(r); err != nil {
				e := forbidden
				if text := err.Error(); text != "" {
					e.Message = text
				}
				s.refuse(w, upgrade, e)
				return
			}
		}
		s.handshake(w, r, upgrade)
	}
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
		if sess.Transport() == Polling {
			s.refuse(w, false, unknownSession) // it is ending
			return
		}
	}
	s.refuse(w, false, badRequest) // the session is (by now) on another transport
}

func (s *Session) polling() (*polling.Conn, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn, ok := s.link.conn.(*polling.Conn)
	return conn, ok
}

// handshake opens a session. All that can be refused is refused before a
// WebSocket is opened.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request, upgrade bool) {
	id, err := s.opts.NewID(r)
	if err != nil || id == "" {
		s.log.Warn("session ID not generated", "err", err)
		s.refuse(w, upgrade, badRequest)
		return
	}
	sess := newSession(s, id, handshakeOf(r))
	if e, ok := s.register(sess); !ok {
		s.refuse(w, upgrade, e)
		return
	}
	if upgrade {
		conn, err := s.websocket.Accept(w, r)
		if err != nil {
			s.cancel(sess)
			if _, ours := errors.AsType[*websocket.HandshakeError](err); ours {
				s.refuse(w, true, badRequest)
			}
			return
		}
		s.begin(sess, WebSocket, conn)
		return
	}
	conn, err := s.polling.Accept()
	if err != nil {
		s.cancel(sess)
		s.refuse(w, false, shuttingDown)
		return
	}
	s.begin(sess, Polling, conn)
	if conn.Serve(w, r) != nil {
		s.refuse(w, false, unknownSession) // accept has ended it
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
	if f := s.opts.Hooks.Opened; f != nil {
		f(name)
	}
	var recv Receiver
	defer func() { // also if accept panics, which is for net/http to report
		if recv == nil {
			sess.Abort(ReasonForcedClose)
			recv = deaf{}
		}
		sess.mu.Lock()
		sess.recv = recv
		sess.mu.Unlock()
		conn.Start(l)
	}()
	recv = s.accept(sess)
}

// cancel undoes register for a session that never began.
func (s *Server) cancel(sess *Session) {
	s.forget(sess)
	s.wg.Done()
}

// deaf receives for a session that nobody wanted.
type deaf struct{}

func (deaf) Message(bool, []byte) error { return nil }
func (deaf) Closed(Reason, error)       {}
