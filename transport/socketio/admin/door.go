package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/carillonhq/carillon/transport/socketio"
)

// ErrHash says that something is not a bcrypt hash; it does not show it.
var ErrHash = errors.New("admin: not a bcrypt hash")

var hashForm = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// CheckHash returns an error that wraps ErrHash unless hash is one that
// Options.PasswordHash can be.
func CheckHash(hash string) error {
	if !hashForm.MatchString(hash) {
		return ErrHash
	}
	if _, err := bcrypt.Cost([]byte(hash)); err != nil {
		return fmt.Errorf("%w: its cost is out of range", ErrHash)
	}
	return nil
}

// What clients who are not let in are told; the UI asks again on the first.
var (
	errCredentials = &socketio.Error{Message: "invalid credentials"}
	errBusy        = &socketio.Error{Message: "too many logins at a time, try again"}
	errClosed      = &socketio.Error{Message: "closed"}
)

// maxChecks bounds the passwords that are checked at a time, each of which
// takes a processor for as long as the hash's cost says, and maxWaiting those
// that wait: who guesses passwords, on however many connections, leaves the
// processors to others.
const (
	maxChecks  = 2
	maxWaiting = 64
)

// A door lets in who knows the password, or has a session.
type door struct {
	user     [sha256.Size]byte
	hash     []byte
	sessions sessions
	checks   chan struct{} // holds one of each check under way
	waiting  atomic.Int32
}

func newDoor(user, hash string, life time.Duration) *door {
	return &door{
		user:     sha256.Sum256([]byte(user)),
		hash:     []byte(hash),
		sessions: sessions{life: life, expiry: make(map[string]time.Time)},
		checks:   make(chan struct{}, maxChecks),
	}
}

// credentials are what the UI sends as auth: a session's id, or the rest.
type credentials struct {
	SessionID string `json:"sessionId"`
	Username  string `json:"username"`
	Password  string `json:"password"`
}

func credentialsOf(s *socketio.Socket) (c credentials) {
	auth := s.Handshake().Auth
	if auth.IsNull() || auth.Decode(&c) != nil {
		return credentials{}
	}
	return c
}

// enter is the middleware of the administrators' namespace.
func (a *Admin) enter(ctx context.Context, s *socketio.Socket) error {
	if a.off.Load() {
		return errClosed
	}
	if a.door == nil {
		s.Handshake().Auth = socketio.Raw{}
		return nil
	}
	c := credentialsOf(s)
	if a.door.sessions.valid(c.SessionID) {
		s.Handshake().Auth = socketio.Raw{}
		return nil
	}
	if err := a.door.check(ctx, c); err != nil {
		a.logger.Debug("administrator refused", "address", s.Handshake().Address, "reason", err.Message)
		return err
	}
	s.Handshake().Auth = loggedIn
	return nil
}

// loggedIn takes the place of a password, and nothing that of a session's id:
// whoever fetches sockets, on any node, is told their handshakes. Nobody sees
// that of a socket before the middlewares have returned.
var loggedIn, _ = socketio.RawJSON([]byte(`"logged in"`))

// isLogin reports whether the administrator has just shown a password.
func isLogin(s *socketio.Socket) bool {
	var auth string
	return s.Handshake().Auth.Decode(&auth) == nil && auth == "logged in"
}

// check takes as long for a wrong user name as for a wrong password.
func (d *door) check(ctx context.Context, c credentials) *socketio.Error {
	if c.Username == "" && c.Password == "" {
		return errCredentials // a session that has expired: nothing was guessed
	}
	if d.waiting.Add(1) > maxWaiting {
		d.waiting.Add(-1)
		return errBusy
	}
	select {
	case d.checks <- struct{}{}:
		d.waiting.Add(-1)
	case <-ctx.Done():
		d.waiting.Add(-1)
		return errCredentials // for nobody to hear
	}
	defer func() { <-d.checks }()
	user := sha256.Sum256([]byte(c.Username))
	sameUser := subtle.ConstantTimeCompare(user[:], d.user[:]) == 1
	samePassword := bcrypt.CompareHashAndPassword(d.hash, []byte(c.Password)) == nil
	if !sameUser || !samePassword {
		return errCredentials
	}
	return nil
}

// maxSessions bounds the logins that are remembered; beyond, the oldest goes.
const maxSessions = 1000

// sessions are the logins of this node.
type sessions struct {
	life time.Duration

	mu     sync.Mutex // guards expiry
	expiry map[string]time.Time
}

// issue returns the id of a new session.
func (s *sessions) issue() string {
	id, now := rand.Text(), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := ""
	for other, end := range s.expiry {
		if !now.Before(end) {
			delete(s.expiry, other)
		} else if oldest == "" || end.Before(s.expiry[oldest]) {
			oldest = other
		}
	}
	if len(s.expiry) >= maxSessions {
		delete(s.expiry, oldest)
	}
	s.expiry[id] = now.Add(s.life)
	return id
}

func (s *sessions) valid(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, ok := s.expiry[id]
	return ok && time.Now().Before(end)
}
