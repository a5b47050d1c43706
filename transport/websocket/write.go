package websocket

import (
	"errors"
	"os"
	"time"
)

// wrote accounts for a write of n bytes of b.
func (c *Conn) wrote(b *batch, n int) {
	if n == 0 {
		return
	}
	frames := b.advance(n)
	c.mu.Lock()
	c.queued -= n
	c.mu.Unlock()
	c.a.opts.Hooks.Written(frames, n)
}

// failed ends the Conn for the error of a write.
func (c *Conn) failed(err error) {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		c.lost(err)
		return
	}
	c.mu.Lock()
	late := c.phase == closing
	c.mu.Unlock()
	if late {
		c.kill() // the end was decided before, and its time is up
	} else {
		c.cut()
	}
}

// settle ends a worker's turn with c.
func (c *Conn) settle(b batch) {
	if b.items != nil {
		c.a.recycle(b.items)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = idle
	if c.pending != nil {
		c.wakeLocked()
	}
	c.flushedLocked()
}

// block leaves c, whose socket is full, to a goroutine of its own.
func (c *Conn) block(b batch) {
	c.mu.Lock()
	if c.phase >= broken {
		c.mu.Unlock()
		c.settle(b)
		return
	}
	c.state = blocked
	c.mu.Unlock()
	c.a.opts.Hooks.Blocked(1)
	c.a.wg.Go(func() { // ends when the queue is empty, or by its deadline
		defer c.a.opts.Hooks.Blocked(-1)
		c.write(b)
	})
}

// write writes b, and then what else is queued, waiting for the client as
// long as a write may take. It returns when the queue is empty or the Conn
// is lost.
func (c *Conn) write(b batch) {
	scratch := c.a.scratch.Get().(*[]byte)
	defer c.a.scratch.Put(scratch)
	for c.refill(&b) {
		chunk := b.next(*scratch)
		if len(chunk) > coalesce {
			chunk = chunk[:coalesce] // the deadline is one for progress
		}
		n, err := c.inner.Write(chunk)
		c.wrote(&b, n)
		if err != nil {
			c.failed(err)
		}
	}
}

// refill prepares the next write of write: it sees that b has something to
// write, and sets the deadline. It reports whether there is more to do.
func (c *Conn) refill(b *batch) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.items != nil && (b.empty() || c.phase >= broken) {
		c.a.recycle(b.items)
		*b = batch{}
	}
	if b.items == nil {
		*b = c.takeLocked()
	}
	more := b.items != nil && c.phase < broken
	var by time.Time
	if more {
		by = time.Now().Add(c.a.opts.WriteTimeout)
	} else {
		c.state = idle
		c.flushedLocked()
	}
	if c.phase == closing && (by.IsZero() || by.After(c.closeBy)) {
		by = c.closeBy
	}
	_ = c.inner.SetWriteDeadline(by)
	return more
}
