// Package links follows the connections of a driver, for broker.Linked.
package links

import (
	"context"
	"errors"
	"sync"

	"github.com/carillonhq/carillon/broker"
)

// The roles of a driver's connections.
const (
	Publisher  = "publisher"
	Subscriber = "subscriber"
)

// Links knows which connections are down, and tells when a role goes down and
// comes back. A role is down while one of its connections is; a name tells
// those of one role apart. All methods may be called concurrently.
type Links struct {
	tell sync.Mutex // one call of f at a time, in order

	mu     sync.Mutex // guards what follows
	f      func(broker.Link)
	down   map[string]map[string]int // role → name → failures in a row
	back   chan struct{}             // closed when something works again
	closed bool
}

// New returns Links of which none is down.
func New() *Links {
	return &Links{down: map[string]map[string]int{Publisher: {}, Subscriber: {}}, back: make(chan struct{})}
}

// On sets who is told, as broker.Linked has it.
func (l *Links) On(f func(broker.Link)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.f = f
}

// Close ends the telling.
func (l *Links) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// Failed notes a failure, and returns how many there were in a row. A call that
// was given up by who made it is none.
func (l *Links) Failed(role, name string, err error) (attempt int) {
	if errors.Is(err, context.Canceled) {
		return 1
	}
	l.tell.Lock()
	defer l.tell.Unlock()
	l.mu.Lock()
	l.down[role][name]++
	attempt = l.down[role][name]
	f := l.told()
	l.mu.Unlock()
	if f != nil {
		f(broker.Link{Role: role, Attempt: attempt, Err: err})
	}
	return attempt
}

// Worked notes that a connection stands, or that nobody waits for it any more.
func (l *Links) Worked(role, name string) {
	l.up(role, func(down map[string]int) { delete(down, name) })
}

// AllWorked notes that all connections of a role stand.
func (l *Links) AllWorked(role string) {
	l.up(role, func(down map[string]int) { clear(down) })
}

func (l *Links) up(role string, remove func(down map[string]int)) {
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
	remove(l.down[role])
	after := len(l.down[role])
	f := l.told()
	if after < before {
		// The broker is there again: all who wait for a retry may try at
		// once, so that they do not come back seconds apart.
		close(l.back)
		l.back = make(chan struct{})
	}
	l.mu.Unlock()
	if before > 0 && after == 0 && f != nil {
		f(broker.Link{Role: role, Up: true})
	}
}

// told returns who is told, if anybody is. It needs mu.
func (l *Links) told() func(broker.Link) {
	if l.closed {
		return nil
	}
	return l.f
}

// Wake returns a channel that is closed when something works again.
func (l *Links) Wake() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.back
}
