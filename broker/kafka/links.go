package kafka

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

// links tells when a role goes down and comes back.
type links struct {
	tell sync.Mutex // one call of f at a time, in order

	mu     sync.Mutex // guards what follows
	f      func(broker.Link)
	down   map[string]int // role → failures in a row
	back   chan struct{}  // closed when a role works again
	closed bool
}

func newLinks() *links {
	return &links{down: make(map[string]int), back: make(chan struct{})}
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
func (l *links) failed(role string, err error) (attempt int) {
	if errors.Is(err, context.Canceled) {
		return 1 // we are about to close
	}
	l.tell.Lock()
	defer l.tell.Unlock()
	l.mu.Lock()
	l.down[role]++
	attempt = l.down[role]
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

// worked notes a success.
func (l *links) worked(role string) {
	l.mu.Lock()
	n := l.down[role]
	l.mu.Unlock()
	if n == 0 {
		return
	}
	l.tell.Lock()
	defer l.tell.Unlock()
	l.mu.Lock()
	n = l.down[role]
	delete(l.down, role)
	f := l.f
	if l.closed {
		f = nil
	}
	if n > 0 {
		// Kafka is there again: who waits for a retry may try at once.
		close(l.back)
		l.back = make(chan struct{})
	}
	l.mu.Unlock()
	if n > 0 && f != nil {
		f(broker.Link{Role: role, Up: true})
	}
}

// wake returns a channel that is closed when a role works again.
func (l *links) wake() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.back
}
