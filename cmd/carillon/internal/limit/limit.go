// Package limit bounds what clients may take of a node: how many of them
// connect, how fast, and how much they say.
package limit

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Limits are the bounds. 0 is none.
type Limits struct {
	Connections           int // of this node
	ConnectionsPerAddress int
	ConnectionsPerUser    int // to this node; one in each namespace counts as one each

	Handshakes           Rate // of this node: connections that open
	HandshakesPerAddress Rate

	Socket Traffic // of one socket
	User   Traffic // of all sockets of a user on this node
}

// Traffic bounds what is said.
type Traffic struct {
	Messages Rate
	Bytes    Rate
}

// A Rate is how many in a second, and how many at once. The zero Rate is no
// bound.
type Rate struct {
	PerSecond int
	Burst     int // 0: as many as PerSecond
}

// A Kind names one of the limits.
type Kind string

// The limits that a Refused can be about.
const (
	Connections           Kind = "connections"
	ConnectionsPerAddress Kind = "connections_per_address"
	ConnectionsPerUser    Kind = "connections_per_user"
	Handshakes            Kind = "handshakes"
	HandshakesPerAddress  Kind = "handshakes_per_address"
	SocketMessages        Kind = "socket_messages"
	SocketBytes           Kind = "socket_bytes"
	UserMessages          Kind = "user_messages"
	UserBytes             Kind = "user_bytes"
)

// Hooks are called on the goroutine that does the work and must not block.
type Hooks struct {
	Refused func(kind Kind) // something was refused by this limit
}

// A Refused says which limit was met.
type Refused struct {
	Kind    Kind
	Message string // for people

	// After is when trying again may help. 0 if that cannot be told, or will
	// never help.
	After time.Duration
}

func (e *Refused) Error() string { return e.Message }

// A Limiter holds the counts of one node. Its methods may be called
// concurrently.
type Limiter struct {
	hooks  Hooks
	limits atomic.Pointer[Limits]

	mu          sync.Mutex // guards all below
	connections int
	handshakes  bucket
	addresses   map[netip.Prefix]*address
	users       map[string]*user
	swept       time.Time // when addresses were last gone through
}

// New returns a Limiter.
func New(limits Limits, hooks Hooks) *Limiter {
	l := &Limiter{hooks: hooks, addresses: make(map[netip.Prefix]*address), users: make(map[string]*user)}
	l.limits.Store(&limits)
	return l
}

// Reload changes the limits, also for who is connected; what is there beyond a
// new limit stays.
func (l *Limiter) Reload(limits Limits) { l.limits.Store(&limits) }

// refuse tells the hook.
func (l *Limiter) refuse(e *Refused) error {
	if f := l.hooks.Refused; f != nil {
		f(e.Kind)
	}
	return e
}

// retrySoon is when to try again where a place may become free at any time.
const retrySoon = 5 * time.Second

func tooMany(kind Kind, format string, args ...any) *Refused {
	return &Refused{Kind: kind, Message: fmt.Sprintf(format, args...), After: retrySoon}
}

func tooFast(kind Kind, what string, r Rate, after time.Duration) *Refused {
	return &Refused{Kind: kind, Message: fmt.Sprintf("too many %s: at most %d a second", what, r.PerSecond), After: after}
}
