package websocket

import (
	"bufio"
	"errors"
	"os"
	"sync"
	"time"
)

// A Conn whose client is silent rests: its reading goroutine ends, whose stack
// has grown to what a Receiver needs, and its buffer is another's. What the
// client says next, or the end of the Conn, begins a new one.

// silence is about how long a client says nothing before its Conn rests. It is
// much less than the time between heartbeats, which are all that most clients
// say, and much more than it takes to begin to read again.
const silence = time.Second

// resting is what gwsConn.Read panics with in order to leave gws's loop, which
// has no other way out that it could be entered by again: between two frames
// all that gws knows is in its Conn.
type resting struct{}

// A watch has the Conns that are read from, and sends those to rest who hear
// nothing.
type watch struct {
	wg *sync.WaitGroup // counts timer

	mu     sync.Mutex // guards all below, and Conn.watched
	conns  []*Conn
	timer  *time.Timer // runs as long as there are any
	armed  bool
	closed bool
}

// add has c, which reads, looked at. It is called by someone whom wg counts.
func (w *watch) add(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || c.watched {
		return
	}
	c.watched = true
	w.conns = append(w.conns, c)
	if !w.armed {
		w.armLocked()
	}
}

func (w *watch) armLocked() {
	w.armed = true
	w.wg.Add(1)
	if w.timer == nil {
		w.timer = time.AfterFunc(silence, w.look)
	} else {
		w.timer.Reset(silence)
	}
}

func (w *watch) look() {
	defer w.wg.Done()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	w.nudgeLocked()
	if len(w.conns) > 0 {
		w.armLocked()
	}
}

// nudgeLocked nudges those who have heard nothing since it was called last.
func (w *watch) nudgeLocked() {
	kept := w.conns[:0]
	for _, c := range w.conns {
		if c.watched = c.heard.Swap(false); c.watched {
			kept = append(kept, c)
		} else {
			c.nudge()
		}
	}
	clear(w.conns[len(kept):])
	if w.conns = kept; len(kept) == 0 {
		w.conns = nil // there may have been a crowd
	}
}

func (w *watch) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed, w.conns = true, nil
	if w.armed && w.timer.Stop() {
		w.wg.Done()
	}
}

// nudge has the reading goroutine look whether it can rest.
func (c *Conn) nudge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == open {
		c.nudged = true
		_ = c.inner.SetReadDeadline(time.Unix(1, 0))
	}
}

// mayRest tells, of the error of a read, whether it is a nudge's doing and
// nothing else, so that one has to read again, and whether the Conn can rest
// before that. No deadline of the Conn's end is lost.
func (c *Conn) mayRest(err error) (nudged, rest bool) {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false, false
	}
	c.mu.Lock()
	nudged, c.nudged = c.nudged, false
	if nudged && c.phase == open {
		_ = c.inner.SetReadDeadline(time.Time{})
		rest = c.between
	}
	c.mu.Unlock()
	if nudged && !rest {
		c.a.watch.add(c)
	}
	return nudged, rest
}

// rest ends the reading goroutine, which calls it last.
func (c *Conn) rest() {
	c.leaveBuffer()
	c.mu.Lock()
	c.rests = true
	ends := c.phase != open
	c.mu.Unlock()
	switch {
	case ends:
		c.rouse()
	case !c.a.poller.wait(c) && c.claim():
		go c.wait() // under the count of register; ends with the next frame or the connection
	}
}

// claim reports whether it is the caller's to have the Conn read from again.
func (c *Conn) claim() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.claimLocked()
}

func (c *Conn) claimLocked() (rested bool) {
	rested, c.rests = c.rests, false
	return rested
}

// rouse has the Conn read from again, if it rests.
func (c *Conn) rouse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rouseLocked()
}

func (c *Conn) rouseLocked() {
	if c.claimLocked() {
		go c.resume() // under the count of register; ends with the connection or its next rest
	}
}

// wait waits for the client and then reads. It does not go deep before, so that
// its stack stays as small as stacks begin.
func (c *Conn) wait() {
	n, err := c.inner.Read(c.first[:])
	c.early, c.earlyErr = c.first[:n], err
	c.resume()
}

// resume is a new reading goroutine.
func (c *Conn) resume() {
	c.takeBuffer()
	c.a.watch.add(c)
	c.serve()
}

// takeBuffer and leaveBuffer exchange what is in the bufio.Reader that gws has,
// which is empty between frames.

func (c *Conn) takeBuffer() {
	*c.reader = *c.a.readers.Get().(*bufio.Reader)
	c.reader.Reset((*gwsConn)(c))
}

func (c *Conn) leaveBuffer() {
	c.reader.Reset(nil)
	r := new(bufio.Reader)
	*r, *c.reader = *c.reader, *r
	c.a.readers.Put(r)
}
