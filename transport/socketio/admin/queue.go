package admin

import "sync"

// A message is an event for administrators.
type message struct {
	event  string
	args   []any
	copied bool // of an application's event, and may be lost
}

// How much may wait for run. State of which more piles up is dropped, and the
// UI's picture is wrong until it is reloaded; of copies there may be fewer, as
// they may be large.
const (
	maxQueue  = 1 << 16
	maxCopies = 1 << 10
)

// A queue takes messages from where they must not be sent: the hooks and
// handlers that they come from are called in the midst of the Server's work,
// some with a socket locked.
type queue struct {
	wake chan struct{}

	mu      sync.Mutex // guards all below
	waiting []message
	dropped int
}

func (q *queue) put(m message) {
	q.mu.Lock()
	limit := maxQueue
	if m.copied {
		limit = maxCopies
	}
	if len(q.waiting) >= limit {
		q.dropped++
	} else {
		q.waiting = append(q.waiting, m)
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default: // run is to wake already
	}
}

func (q *queue) take() []message {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting := q.waiting
	q.waiting = nil
	return waiting
}

// lost returns how many messages were dropped since it was last called.
func (q *queue) lost() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.dropped
	q.dropped = 0
	return n
}
