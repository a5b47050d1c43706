package websocket

import (
	"crypto/tls"
	"encoding/binary"
	"time"

	"github.com/carillonhq/carillon/transport"
)

// A phase of a Conn's life; they are passed in this order.
type phase uint8

const (
	open    phase = iota
	closing       // nothing is queued any more, but written what was; still reading
	broken        // nothing can be written; reading until the client's end
	dead          // inner is closed
)

// Status codes of close frames (RFC 6455, section 7.4.1).
const (
	statusNormal   = 1000
	statusAway     = 1001
	statusProtocol = 1002
	statusPolicy   = 1008
	statusTooLarge = 1009
	statusInternal = 1011
)

// decide settles what Closed is told, unless that is settled, and reports
// whether it did.
func (c *Conn) decide(why error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.decideLocked(why)
}

func (c *Conn) decideLocked(why error) bool {
	if c.decided {
		return false
	}
	c.decided, c.why = true, why
	return true
}

// shut begins an end in good order, for a reason of our own.
func (c *Conn) shut(status uint16, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.decideLocked(why)
	if c.phase != open {
		return
	}
	c.enqueueLocked(item{binary.BigEndian.AppendUint16([]byte{0x88, 2}, status), 1})
	c.closeLocked()
}

// closeLocked ends the queue behind what is in it, and limits the time for
// that and for the client's answer.
func (c *Conn) closeLocked() {
	c.phase = closing
	c.flushed = make(chan struct{})
	c.closeBy = time.Now().Add(c.a.opts.CloseTimeout)
	_ = c.inner.SetDeadline(c.closeBy)
	c.flushedLocked()
	c.rouseLocked()
}

// flushedLocked wakes the reading goroutine if there is nothing left to wait
// for. Its callers have just changed phase, state or pending.
func (c *Conn) flushedLocked() {
	done := c.phase >= broken || c.state == idle && c.pending == nil
	if c.flushed != nil && done {
		close(c.flushed)
		c.flushed = nil
	}
}

// cut ends a connection whose client does not take what it is sent.
func (c *Conn) cut() {
	if c.decide(transport.ErrSlow) {
		c.a.opts.Hooks.Slow()
	}
	c.kill()
}

// lost gives up writing. What the client sent before it was lost is still
// read: a close frame among it makes the end an orderly one.
func (c *Conn) lost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase >= broken {
		return
	}
	c.phase, c.lostErr = broken, err
	c.dropLocked()
	_ = c.inner.SetReadDeadline(time.Now().Add(c.a.opts.CloseTimeout))
	c.rouseLocked()
}

// kill closes the socket and drops what is queued.
func (c *Conn) kill() {
	c.mu.Lock()
	if c.phase == dead {
		c.mu.Unlock()
		return
	}
	c.phase = dead
	c.dropLocked()
	c.rouseLocked()
	unused := !c.started
	c.mu.Unlock()

	inner := c.inner
	if t, ok := inner.(*tls.Conn); ok {
		inner = t.NetConn() // its own Close writes first, and may wait for that
	}
	inner.Close()
	if unused {
		c.a.release(c)
	}
}

func (c *Conn) dropLocked() {
	if c.pending != nil {
		c.a.recycle(c.pending)
		c.pending = nil
	}
	c.flushedLocked()
}
