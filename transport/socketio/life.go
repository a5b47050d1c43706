package socketio

import (
	"context"
	"sync"
	"time"
)

// A life is the context of what ends once: of a client, of a socket. Those of
// the context package take ten times the memory, which a server of many silent
// clients is mostly made of. The zero value is ready for use.
type life struct {
	mu    sync.Mutex // guards all below
	ended bool
	done  chan struct{} // nil until it is asked for
	calls []*lifeCall   // of AfterFunc
}

type lifeCall struct {
	f func()
	i int // in life.calls; -1: not any more
}

var _ context.Context = (*life)(nil)

// Deadline implements context.Context: there is none.
func (l *life) Deadline() (at time.Time, ok bool) { return at, false }

// Value implements context.Context: there is none.
func (l *life) Value(any) any { return nil }

// Done implements context.Context.
func (l *life) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done == nil {
		l.done = make(chan struct{})
		if l.ended {
			close(l.done)
		}
	}
	return l.done
}

// Err implements context.Context.
func (l *life) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return context.Canceled
	}
	return nil
}

// AfterFunc has f called on a goroutine of its own when l ends, or has ended.
// The context package uses it for contexts that are made of l, which would take
// a goroutine each otherwise.
func (l *life) AfterFunc(f func()) (stop func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		go f()
		return func() bool { return false }
	}
	c := &lifeCall{f, len(l.calls)}
	l.calls = append(l.calls, c)
	return func() bool { return l.drop(c) }
}

func (l *life) drop(c *lifeCall) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.i < 0 {
		return false
	}
	last := len(l.calls) - 1
	l.calls[c.i], l.calls[last].i = l.calls[last], c.i
	l.calls[last] = nil
	l.calls = l.calls[:last]
	c.i = -1
	return true
}

// end may be called more than once.
func (l *life) end() {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return
	}
	l.ended = true
	if l.done != nil {
		close(l.done)
	}
	calls := l.calls
	l.calls = nil
	for _, c := range calls {
		c.i = -1
	}
	l.mu.Unlock()
	for _, c := range calls {
		go c.f()
	}
}
