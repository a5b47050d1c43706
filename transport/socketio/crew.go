package socketio

import (
	"sync"
	"sync/atomic"
	"time"
)

// A crew are the goroutines that run inboxes. One that has nothing left to do
// waits for the next inbox, for a moment and if not too many wait already: its
// stack has grown to what handlers need, which would cost a new goroutine more
// than most events do.
type crew struct {
	ready   chan *inbox // nil: to leave
	waiting atomic.Int32
	jobs    sync.WaitGroup // inboxes at work
	members sync.WaitGroup // goroutines
	done    chan struct{}

	timer *time.Timer // sends away those that wait
	armed atomic.Bool // it is set
	mu    sync.Mutex  // held by sweep
}

const (
	reserve = 64          // goroutines that may wait for work,
	moment  = time.Second // and about how long
)

func (c *crew) init() {
	c.ready = make(chan *inbox)
	c.done = make(chan struct{})
	c.timer = time.AfterFunc(moment, c.sweep)
	c.timer.Stop()
}

// start has a goroutine run b. It does not wait.
func (c *crew) start(b *inbox) {
	c.jobs.Add(1)
	select {
	case c.ready <- b: // to one that waits
	default:
		c.members.Go(func() { c.work(b) }) // ends when enough others wait, or by finish
	}
}

func (c *crew) work(b *inbox) {
	for b != nil {
		b.run()
		c.jobs.Done()
		if c.waiting.Add(1) > reserve {
			b = nil
		} else {
			c.arm()
			select {
			case b = <-c.ready:
			case <-c.done:
				b = nil
			}
		}
		c.waiting.Add(-1)
	}
}

func (c *crew) arm() {
	if !c.armed.Load() && !c.armed.Swap(true) {
		c.timer.Reset(moment)
	}
}

// sweep sends away those that wait: the next work begins with new ones.
func (c *crew) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed.Store(false)
	for {
		select {
		case c.ready <- nil:
			continue
		default:
		}
		break
	}
	if c.waiting.Load() > 0 { // one was about to wait
		c.arm()
	}
}

// finish returns when all inboxes are empty and no goroutine is left. No inbox
// may be started any more.
func (c *crew) finish() {
	c.jobs.Wait()
	close(c.done)
	c.members.Wait()
	c.timer.Stop()
	c.mu.Lock() // of a sweep that goes on
	defer c.mu.Unlock()
}
