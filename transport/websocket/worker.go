package websocket

import (
	"sync"
)

// turn is how many Conns a worker takes from the run queue at a time.
const turn = 32

// A runQueue holds the Conns that have something to write, first come first
// served, as a list through Conn.next.
type runQueue struct {
	mu         sync.Mutex // guards what follows
	wake       sync.Cond
	head, tail *Conn
	waiting    int // workers
	closed     bool
}

func (q *runQueue) init() { q.wake.L = &q.mu }

// push appends c, which must not be in the queue.
func (q *runQueue) push(c *Conn) {
	q.mu.Lock()
	if q.tail == nil {
		q.head = c
	} else {
		q.tail.next = c
	}
	q.tail = c
	wake := q.waiting > 0
	q.mu.Unlock()
	if wake {
		q.wake.Signal()
	}
}

// take fills into with Conns, waiting for at least one. It returns none once
// the queue is closed.
func (q *runQueue) take(into []*Conn) []*Conn {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.head == nil && !q.closed {
		q.waiting++
		q.wake.Wait()
		q.waiting--
	}
	if q.closed {
		return nil
	}
	into = into[:0]
	for q.head != nil && len(into) < cap(into) {
		c := q.head
		q.head, c.next = c.next, nil
		into = append(into, c)
	}
	if q.head == nil {
		q.tail = nil
	}
	return into
}

func (q *runQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.wake.Broadcast()
}

// A worker writes for Conns whose sockets take what they are given; it waits
// for none of them.
type worker struct {
	scratch []byte

	// The arguments and results of attempt, which is bound once, so that a
	// write allocates nothing.
	attempt func(fd uintptr) bool
	buf     []byte
	n       int
	err     error
}

func (a *Acceptor) work() {
	w := &worker{scratch: make([]byte, 0, coalesce)}
	w.attempt = w.write
	conns := make([]*Conn, 0, turn)
	for {
		conns = a.ready.take(conns)
		if len(conns) == 0 {
			return
		}
		for i, c := range conns {
			w.flush(c)
			conns[i] = nil
		}
	}
}

// flush writes what is queued on c. What comes in meanwhile goes to the back
// of the run queue: that is fair, and the busier the workers are, the more
// leaves in one write.
func (w *worker) flush(c *Conn) {
	c.mu.Lock()
	c.state = writing
	b := c.takeLocked()
	c.mu.Unlock()

	for !b.empty() {
		chunk := b.next(w.scratch)
		n, err := w.try(c, chunk)
		c.wrote(&b, n)
		if err != nil {
			c.failed(err)
			break
		}
		if n < len(chunk) {
			c.block(b)
			return
		}
	}
	c.settle(b)
}

// try writes as much of p as the socket takes now.
func (w *worker) try(c *Conn, p []byte) (int, error) {
	w.buf, w.n, w.err = p, 0, nil
	err := c.raw.Write(w.attempt)
	w.buf = nil
	if err == nil {
		err = w.err
	}
	return w.n, err
}
