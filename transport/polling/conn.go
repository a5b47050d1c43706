package polling

import (
	"net/http"
	"sync"
	"time"

	"github.com/carillonhq/carillon/transport"
)

type phase int

const (
	open    phase = iota
	closing       // Close was called: what is queued goes first, then the close packet alone
	told          // the close packet was handed to a GET; POSTs are taken for a moment more
	ended
)

// A Conn is a transport.Conn over the requests that are given to Serve. It
// counts as taking its frames (SendVolatile) only while a GET waits.
type Conn struct {
	a    *Acceptor
	wake chan struct{} // one token: the waiting GET shall look again

	dialect  transport.Dialect // set before the first frame
	callback string            // of JSONP; "" for none

	mu        sync.Mutex // guards the fields below; nothing that calls back is called under it
	phase     phase
	queue     []*transport.Frames
	size      int                      // bytes of queue
	waiting   bool                     // a GET waits
	noop      bool                     // it shall be released with a noop
	releasing bool                     // an upgrade is under way: let no GET wait for long
	posting   bool                     // a POST is under way
	body      *http.ResponseController // its body is being read
	taking    bool                     // the Receiver is being called
	recv      transport.Receiver       // nil before Start
	reported  bool                     // Closed was called, or will be at once
	err       error                    // what Closed is told, once ended
	last      string                   // the packet that ends a waiting GET, once ended; "" refuses it
	timer     *time.Timer              // bounds closing and told
}

var _ transport.Conn = (*Conn)(nil)

// Start names the Receiver. It is called exactly once; until then requests
// are refused, while frames may be sent.
func (c *Conn) Start(r transport.Receiver) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recv = r
	if c.reported { // given up by the Acceptor, which waits for it no more
		go r.Closed(nil)
		return
	}
	c.settle()
}

// Speak makes the Conn use a dialect other than transport.V4. Unless callback
// is empty, polls are answered with a script that calls it and POSTs bring
// forms (JSONP). It is called before all else, by the caller of Accept. The
// Receiver hears the same frames whatever the dialect.
func (c *Conn) Speak(d transport.Dialect, callback string) {
	c.dialect, c.callback = d, callback
}

// Send queues f for the next GET, or answers the waiting one with it.
func (c *Conn) Send(f *transport.Frames) error {
	n := c.cost(f)
	c.mu.Lock()
	if c.phase != open {
		c.mu.Unlock()
		return transport.ErrClosed
	}
	if c.full() {
		c.end(transport.ErrSlow, closePacket)
		c.mu.Unlock()
		if h := c.a.opts.Hooks.Slow; h != nil {
			h()
		}
		return transport.ErrSlow
	}
	c.push(f, n)
	c.mu.Unlock()
	return nil
}

// SendVolatile queues f if a GET waits, and drops it otherwise.
func (c *Conn) SendVolatile(f *transport.Frames) bool {
	n := c.cost(f)
	c.mu.Lock()
	ok := c.phase == open && c.waiting && !c.full()
	if ok {
		c.push(f, n)
	}
	c.mu.Unlock()
	if h := c.a.opts.Hooks.Dropped; !ok && h != nil {
		h()
	}
	return ok
}

// Buffered is the number of bytes that wait for a GET.
func (c *Conn) Buffered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}

// Waiting reports whether a GET waits.
func (c *Conn) Waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}

// Close lets GETs fetch what is queued, answers the next one with the close
// packet alone (a client would handle it before messages of the same
// payload), and ends a moment later. Options.CloseTimeout bounds it all.
// Meanwhile POSTs are taken as before.
func (c *Conn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == open {
		c.phase = closing
		c.endAfter(c.a.opts.CloseTimeout)
		c.look()
	}
}

// Abort ends the Conn at once. A waiting GET is answered with a close packet.
func (c *Conn) Abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(nil, closePacket)
}

// Release prepares the end of polling by an upgrade: it answers a waiting GET
// with a noop and lets none wait for more than 100 ms until Resume.
func (c *Conn) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.releasing = true
	c.noop = c.waiting
	c.look()
}

// Resume takes Release back: the upgrade came to nothing.
func (c *Conn) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.releasing, c.noop = false, false
}

// Detach ends the Conn for a successor and hands over what was queued, also
// while Close waits for that to be fetched. It reports false, and does
// nothing, if the Conn has ended or the client was told so. Once the
// Receiver's Closed was called (with nil), all that came by polling was
// taken.
func (c *Conn) Detach() ([]*transport.Frames, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase > closing {
		return nil, false
	}
	queue := c.queue
	c.end(nil, "")
	return queue, true
}

// giveUp is Abort, also for a Conn that nobody will start.
func (c *Conn) giveUp() {
	c.mu.Lock()
	c.end(nil, closePacket)
	unused := c.recv == nil && !c.reported
	if unused {
		c.reported = true
	}
	c.mu.Unlock()
	if unused {
		c.a.forget(c)
	}
}

// full reports whether the bound of the queue is reached. A frame is never
// refused for its own size: it may exceed the bound by itself.
func (c *Conn) full() bool {
	return c.size+itemCost*len(c.queue) >= c.a.opts.MaxQueue
}

// cost is what f counts in bytes of the queue.
func (c *Conn) cost(f *transport.Frames) int {
	if c.dialect.Version() == 3 {
		return len(f.Polling3(c.dialect.Binary() && f.HasBinary()))
	}
	return len(f.Polling())
}

func (c *Conn) push(f *transport.Frames, n int) {
	c.queue = append(c.queue, f)
	c.size += n
	c.look()
}

// look makes a waiting GET look at the state again.
func (c *Conn) look() {
	select {
	case c.wake <- struct{}{}:
	default: // a token is there already
	}
}

// end is the only way to the phase ended. It is called under c.mu.
func (c *Conn) end(err error, last string) {
	if c.phase == ended {
		return
	}
	c.phase, c.err, c.last = ended, err, last
	c.queue, c.size = nil, 0
	c.stopTimer()
	c.look()
	if c.body != nil {
		// A body that drips in must not outlive its Conn. Where a wrapped
		// ResponseWriter knows no deadlines, the server's own bound it.
		_ = c.body.SetReadDeadline(time.Unix(1, 0))
	}
	c.settle()
}

// settle tells the Receiver of the end, once that is the last thing to tell.
// It is called under c.mu.
func (c *Conn) settle() {
	if c.phase != ended || c.recv == nil || c.taking || c.reported {
		return
	}
	c.reported = true
	recv, err := c.recv, c.err
	go func() { // the Acceptor's wg counts it; ends when Closed returns
		defer c.a.forget(c)
		recv.Closed(err)
	}()
}

// endAfter ends the Conn after d, unless it is called again or the Conn ends
// before. It is called under c.mu.
func (c *Conn) endAfter(d time.Duration) {
	c.stopTimer()
	c.a.wg.Add(1)
	c.timer = time.AfterFunc(d, func() {
		defer c.a.wg.Done()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.end(nil, closePacket)
	})
}

func (c *Conn) stopTimer() {
	if c.timer != nil && c.timer.Stop() {
		c.a.wg.Done()
	}
	c.timer = nil
}
