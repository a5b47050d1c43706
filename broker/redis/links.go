package redis

import (
	"context"
	"errors"
	"sync"

	"github.com/carillonhq/carillon/broker"
)

// The roles of our connections.
const (
	publisher  = "publisher"
	subscribed = "subscriber"
)

// links knows which topics cannot be reached, and tells when a role goes down
// and comes back. A role is down while one of its topics is.
type links struct {
	tell sync.Mutex // one call of f at a time, in order

	mu     sync.Mutex // guards what follows
	f      func(broker.Link)
	down   map[string]map[string]int // role → topic → failures in a row
	back   chan struct{}             // closed when something works again
	closed bool
}

func newLinks() *links {
	return &links{down: map[string]map[string]int{publisher: {}, subscribed: {}}, back: make(chan struct{})}
}

func (l *links) on(f func(broker.Link)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.f = f
}

func (l *links) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// failed notes a failure, and returns how many there were in a row.
func (l *links) failed(role, topic string, err error) (attempt int) {
	if errors.Is(err, context.Canceled) {
		return 1 // the caller changed its mind
	}
	l.tell.Lock()
	defer l.tell.Unlock()
	l.mu.Lock()
	l.down[role][topic]++
	attempt = l.down[role][topic]
	f := l.f
	if l.closed {
		f = nil
	}
	l.mu.Unlock()
	if f != nil {
		f(broker.Link{Role: role, Attempt: attempt, Err: err})
	}
	return attempt
}

// worked notes a success. A publish that works shows that all publishing does:
// nobody may ever try again what failed on another topic.
func (l *links) worked(role, topic string) {
	l.mu.Lock()
	n := len(l.down[role])
	l.mu.Unlock()
	if n == 0 {
		return
	}
	l.tell.Lock()
	defer l.tell.Unlock()
	l.mu.Lock()
	before := len(l.down[role])
	if role == publisher {
		clear(l.down[role])
	}
	delete(l.down[role], topic)
	after := len(l.down[role])
	f := l.f
	if l.closed {
		f = nil
	}
	if after < before {
		// Redis is there again: all who wait for a retry may try at once,
		// so that the topics do not come back seconds apart.
		close(l.back)
		l.back = make(chan struct{})
	}
	l.mu.Unlock()
	if before > 0 && after == 0 && f != nil {
		f(broker.Link{Role: role, Up: true})
	}
}

// wake returns a channel that is closed when something works again.
func (l *links) wake() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.back
}
