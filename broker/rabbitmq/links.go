package rabbitmq

import (
	"sync"

	"github.com/carillonhq/carillon/broker"
)

// The roles of our connections.
const (
	publishing  = "publisher"
	subscribing = "subscriber"
)

// links knows which connections are down, and tells when a role goes down and
// comes back. A role is down while one of its connections is.
type links struct {
	tell sync.Mutex // one call of f at a time, in order

	mu     sync.Mutex // guards what follows
	f      func(broker.Link)
	down   map[string]map[string]int // role → connection → failures in a row
	back   chan struct{}             // closed when something works again
	closed bool
}

func newLinks() *links {
	return &links{down: map[string]map[string]int{publishing: {}, subscribing: {}}, back: make(chan struct{})}
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
func (l *links) failed(role, name string, err error) (attempt int) {
	l.tell.Lock()
	defer l.tell.Unlock()
	l.mu.Lock()
	l.down[role][name]++
	attempt = l.down[role][name]
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

// worked notes that a connection stands, or that nobody waits for it any more.
func (l *links) worked(role, name string) {
	l.tell.Lock()
	defer l.tell.Unlock()
	l.mu.Lock()
	before := len(l.down[role])
	delete(l.down[role], name)
	after := len(l.down[role])
	f := l.f
	if l.closed {
		f = nil
	}
	if after < before {
		// RabbitMQ is there again: all who wait for a retry may try at once,
		// so that they do not come back seconds apart.
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
