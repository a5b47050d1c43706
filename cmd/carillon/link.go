package main

import (
	"context"
	"sync"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// link bounds waits for other instances by the link to the broker: while it
// is down, nobody answers, and nobody should wait.
type link struct {
	cancelWatch func()

	mu     sync.Mutex // guards up and lost
	up     context.Context
	lost   context.CancelFunc // ends up
	closed bool
}

func newLink(bus *broker.Bus) *link {
	l := new(link)
	l.up, l.lost = context.WithCancel(context.Background())
	l.cancelWatch = bus.Watch(func(e broker.Event) {
		if e.Kind == broker.StateChanged {
			l.set(e.State == broker.Up)
		}
	})
	l.set(bus.State() == broker.Up)
	return l
}

func (l *link) set(up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !up || l.closed:
		l.lost()
	case l.up.Err() != nil:
		l.up, l.lost = context.WithCancel(context.Background())
	}
}

// timeout returns a context that ends after d, or when the link is lost.
func (l *link) timeout(d time.Duration) (context.Context, context.CancelFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return context.WithTimeout(l.up, d)
}

func (l *link) close() {
	l.cancelWatch()
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.set(false)
}
