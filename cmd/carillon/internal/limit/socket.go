package limit

import (
	"fmt"
	"sync"
	"time"
)

// user is what the sockets of one user share.
type user struct {
	sockets int // guarded by the Limiter's mu

	mu sync.Mutex // guards all below
	traffic
}

// traffic are the buckets of a Traffic.
type traffic struct{ messages, bytes bucket }

// A Socket is one client's share. Its methods may be called concurrently.
type Socket struct {
	l    *Limiter
	name string
	user *user

	mu sync.Mutex // guards all below
	traffic
}

// Enter counts a socket of a user until its Release, or returns a *Refused.
func (l *Limiter) Enter(name string) (*Socket, error) {
	most := l.limits.Load().ConnectionsPerUser
	l.mu.Lock()
	u := l.users[name]
	if u == nil {
		u = new(user)
		l.users[name] = u
	}
	full := most > 0 && u.sockets >= most
	if !full {
		u.sockets++
	}
	l.mu.Unlock()
	if full {
		return nil, l.refuse(tooMany(ConnectionsPerUser, "too many connections of this user: at most %d", most))
	}
	return &Socket{l: l, name: name, user: u}, nil
}

// Release undoes Enter. It must be called once.
func (s *Socket) Release() {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.user.sockets--
	if s.user.sockets == 0 && s.l.users[s.name] == s.user {
		delete(s.l.users, s.name)
	}
}

// Take counts a message of so many bytes, or returns a *Refused.
func (s *Socket) Take(bytes int) error {
	limits, now := s.l.limits.Load(), time.Now()
	s.mu.Lock()
	refused := s.take(limits.Socket, SocketMessages, SocketBytes, bytes, now)
	s.mu.Unlock()
	if refused == nil {
		s.user.mu.Lock()
		refused = s.user.take(limits.User, UserMessages, UserBytes, bytes, now)
		s.user.mu.Unlock()
	}
	if refused != nil {
		return s.l.refuse(refused)
	}
	return nil
}

func (t *traffic) take(limits Traffic, messages, bytes Kind, size int, now time.Time) *Refused {
	if wait, _ := t.messages.take(limits.Messages, 1, now); wait > 0 {
		return tooFast(messages, "messages", limits.Messages, wait)
	}
	wait, possible := t.bytes.take(limits.Bytes, size, now)
	switch {
	case !possible:
		return &Refused{Kind: bytes, Message: fmt.Sprintf("too large: %d bytes, at most %d at once", size, limits.Bytes.burst())}
	case wait > 0:
		return tooFast(bytes, "bytes", limits.Bytes, wait)
	}
	return nil
}
