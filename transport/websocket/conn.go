package websocket

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lxzan/gws"

	"github.com/carillonhq/carillon/transport"
)

var _ transport.Conn = (*Conn)(nil)

// A Conn is a WebSocket to one client. Besides what transport.Conn says:
//
//   - Close goes on reading, and handing frames to the Receiver, until the
//     client has answered the close frame (status 1000), at most for
//     Options.CloseTimeout.
//   - When the Receiver refuses a frame, the client is told status 1008.
//   - A Receiver that blocks in Frame delays the call of Closed, but no write.
type Conn struct {
	a     *Acceptor
	inner net.Conn
	raw   syscall.RawConn // of inner; nil if bytes have to go through inner.Write
	sock  *gws.Conn       // nil during the handshake

	watched bool        // guarded by Acceptor.watch
	place   int32       // guarded by Acceptor.poller, on Linux
	heard   atomic.Bool // the client said something since it was last looked at

	deflater *transport.Deflater // nil unless the client agreed to permessage-deflate
	dialect  transport.Dialect   // set before the first frame

	// The reading goroutine's own.
	recv       transport.Receiver
	reader     *bufio.Reader // gws's
	early      []byte        // read by net/http or in rest, before what inner has
	earlyErr   error         // behind it
	first      [16]byte      // room for early: a heartbeat takes 7
	between    bool          // gws has no part of a frame
	readErr    error         // inner's
	closeErr   error         // what gws calls the reason of the end
	receiving  bool          // in a call of recv
	turnedDown bool          // recv wants no more frames

	mu      sync.Mutex // guards what follows
	started bool
	phase   phase
	decided bool  // why holds
	why     error // what Closed is told
	lostErr error // of the write that failed
	nudged  bool  // a deadline is for the reading goroutine to look whether it can rest
	rests   bool  // there is no reading goroutine

	state   state
	pending *[]item       // nil when empty
	queued  int           // bytes: pending, and what a writer holds
	closeBy time.Time     // when phase is closing: the end of all waiting
	flushed chan struct{} // when phase is closing: closed once all is written, or never will be

	next *Conn // in the run queue, guarded by that
}

// The states of a Conn's queue.
type state uint8

const (
	idle    state = iota // nobody is concerned with it
	queued               // in the run queue
	writing              // a worker, or a goroutine if there is no raw, is writing
	blocked              // the socket was full; a goroutine is writing
)

func newConn(a *Acceptor, inner net.Conn) *Conn {
	return &Conn{a: a, inner: inner, raw: rawConn(inner)}
}

// Start lets r hear what the client sends; it is called exactly once.
// Frames may be sent before. Only after an Abort may it be left out.
func (c *Conn) Start(r transport.Receiver) {
	c.mu.Lock()
	if c.started {
		c.mu.Unlock()
		panic("websocket: Conn started twice")
	}
	c.started = true
	c.recv = r
	aborted := c.phase == dead
	c.mu.Unlock()
	if aborted {
		// Released by kill already, so the Acceptor does not wait for this
		// goroutine. It ends with the call of Closed.
		go c.tell(nil)
		return
	}
	c.a.watch.add(c)
	go c.serve() // under the count of register; ends with the connection or its next rest
}

// Speak makes the Conn use a dialect other than transport.V4. It is called
// before Send and Start, by the caller of Accept. The Receiver hears the same
// frames whatever the dialect.
func (c *Conn) Speak(d transport.Dialect) { c.dialect = d }

// encode returns f as the client is to get it.
func (c *Conn) encode(f *transport.Frames) []byte {
	if c.deflater != nil {
		return f.Deflated(c.dialect, c.deflater)
	}
	return f.WebSocketAs(c.dialect)
}

// RemoteAddr is the address of the client or of the proxy before us.
func (c *Conn) RemoteAddr() net.Addr { return c.inner.RemoteAddr() }

// Send implements transport.Conn.
func (c *Conn) Send(f *transport.Frames) error {
	wire := c.encode(f)
	c.mu.Lock()
	if c.phase != open {
		c.mu.Unlock()
		return transport.ErrClosed
	}
	if c.fullLocked() {
		c.mu.Unlock()
		c.cut()
		return transport.ErrSlow
	}
	c.enqueueLocked(item{wire, len(f.Parts())})
	c.mu.Unlock()
	return nil
}

// SendVolatile implements transport.Conn: f is dropped while the client's
// socket is full, and while more than Options.VolatileQueue bytes wait.
func (c *Conn) SendVolatile(f *transport.Frames) bool {
	wire := c.encode(f)
	c.mu.Lock()
	ok := c.phase == open && c.state != blocked && c.queued <= c.a.opts.VolatileQueue
	if ok {
		c.enqueueLocked(item{wire, len(f.Parts())})
	}
	c.mu.Unlock()
	if !ok {
		c.a.opts.Hooks.Dropped()
	}
	return ok
}

// Buffered implements transport.Conn.
func (c *Conn) Buffered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase >= broken {
		return 0
	}
	return c.queued
}

// Close implements transport.Conn.
func (c *Conn) Close() { c.shut(statusNormal, nil) }

// GoAway is Close for a server that stops, which the client is told by the
// status 1001.
func (c *Conn) GoAway() { c.shut(statusAway, nil) }

// Abort implements transport.Conn.
func (c *Conn) Abort() {
	c.decide(nil)
	c.kill()
}

// greet sends gws's answer to the handshake, with h and a subprotocol.
func (c *Conn) greet(h http.Header, subprotocol string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != open {
		return
	}
	answer := &(*c.pending)[0]
	c.queued -= len(answer.data)
	answer.data = withHeader(answer.data, h, subprotocol)
	c.queued += len(answer.data)
	c.wakeLocked()
}
