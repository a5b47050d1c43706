package websocket

import (
	"sync"
	"time"
)

// turn is how many Conns a worker takes from the run queue at a time.
const turn = 32

// crowd is how many Conns make it worth to wait for more to write to them.
// Where they are fewer, nobody waits. To write to so many takes a fraction of
// a millisecond by itself.
const crowd = 64

// A runQueue holds the Conns that have something to write, first come first
// served, as a list through Conn.next.
//
// They are taken by the round: those that are there when one begins. If they
// are a crowd, as after a broadcast, the round begins a moment later, so that
// further broadcasts leave in the same writes: the system call is most of what
// a small frame costs. That moment is about as long as the round before it
// took, so that waiting at most doubles what a frame waits for others.
type runQueue struct {
	linger time.Duration

	mu         sync.Mutex // guards what follows
	wake       sync.Cond
	head, tail *Conn
	length     int
	round      int           // Conns of this round that are still in the queue
	began      time.Time     // it
	took       time.Duration // the last crowd's round
	lingering  bool          // a worker lets the next round wait
	waiting    int           // workers
	closed     bool
}

func (q *runQueue) init(linger time.Duration) {
	q.wake.L = &q.mu
	q.linger = linger
}

// push appends c, which must not be in the queue.
func (q *runQueue) push(c *Conn) {
	q.mu.Lock()
	if q.tail == nil {
		q.head = c
	} else {
		q.tail.next = c
	}
	q.tail = c
	q.length++
	wake := q.waiting > 0 && !q.lingering
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
	for q.round == 0 && !q.closed {
		if q.length > 0 && !q.lingering {
			q.begin()
			continue
		}
		q.waiting++
		q.wake.Wait()
		q.waiting--
	}
	if q.closed {
		return nil
	}
	into = into[:0]
	for q.round > 0 && len(into) < cap(into) {
		c := q.head
		q.head, c.next = c.next, nil
		q.length--
		q.round--
		into = append(into, c)
	}
	if q.head == nil {
		q.tail = nil
	}
	if q.round == 0 && !q.began.IsZero() {
		q.took, q.began = time.Since(q.began), time.Time{}
	}
	return into
}

// begin begins a round. It needs mu, and lets go of it if the round waits.
func (q *runQueue) begin() {
	if q.length >= crowd && q.linger > 0 {
		q.lingering = true
		wait := min(max(q.took, q.linger), 4*q.linger)
		q.mu.Unlock()
		time.Sleep(wait)
		q.mu.Lock()
		q.lingering = false
		q.began = time.Now()
	}
	q.round = q.length
	if q.round > turn && q.waiting > 0 {
		q.wake.Broadcast() // there is enough for all workers
	}
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
