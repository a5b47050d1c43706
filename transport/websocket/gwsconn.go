package websocket

import (
	"bytes"
	"net"
	"time"

	"github.com/lxzan/gws"

	"github.com/carillonhq/carillon/transport"
)

// A gwsConn is a Conn as the net.Conn that gws reads from and writes to. All
// that gws writes itself (the handshake, pongs, close frames) joins the
// queue, so that it never lands inside a frame that is written in part.
// After the handshake, gws is on the reading goroutine alone.
type gwsConn Conn

func connOf(s *gws.Conn) *Conn { return (*Conn)(s.NetConn().(*gwsConn)) }

func (g *gwsConn) Read(p []byte) (int, error) {
	c := (*Conn)(g)
	if c.turnedDown {
		c.readErr = net.ErrClosed
		return 0, c.readErr
	}
	if len(c.early) > 0 {
		n := copy(p, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		c.said()
		return n, nil
	}
	n, err := 0, c.earlyErr
	for again := err == nil; again; {
		n, err = c.inner.Read(p)
		again = false
		if n == 0 && err != nil {
			var rest bool
			if again, rest = c.mayRest(err); rest {
				panic(resting{})
			}
		}
	}
	if n > 0 {
		c.said()
	}
	if err != nil {
		c.readErr = err
	}
	return n, err
}

// said takes note that the client has said something.
func (c *Conn) said() {
	c.between = false
	if !c.heard.Load() {
		c.heard.Store(true)
	}
}

// Write queues a copy of p, one whole frame. While the Conn is closing, with
// a close frame of our own as its last, and after a failed read it drops p.
func (g *gwsConn) Write(p []byte) (int, error) {
	c := (*Conn)(g)
	if c.readErr != nil {
		return len(p), nil
	}
	c.mu.Lock()
	if c.phase != open {
		c.mu.Unlock()
		return len(p), nil
	}
	if c.fullLocked() {
		c.mu.Unlock()
		c.cut()
		return 0, transport.ErrSlow
	}
	frames := 1
	if c.sock == nil {
		frames = 0 // the answer to the handshake
	}
	c.enqueueLocked(item{bytes.Clone(p), frames})
	c.mu.Unlock()
	return len(p), nil
}

// Close is called by gws behind its close frame, or after a failed read,
// which Conn.serve sees to.
func (g *gwsConn) Close() error {
	c := (*Conn)(g)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == open && c.readErr == nil && c.sock != nil {
		c.closeLocked()
	}
	return nil
}

func (g *gwsConn) LocalAddr() net.Addr  { return g.inner.LocalAddr() }
func (g *gwsConn) RemoteAddr() net.Addr { return g.inner.RemoteAddr() }

// Deadlines are ours to set: gws would limit the handshake, which only
// queues.

func (g *gwsConn) SetDeadline(time.Time) error      { return nil }
func (g *gwsConn) SetReadDeadline(time.Time) error  { return nil }
func (g *gwsConn) SetWriteDeadline(time.Time) error { return nil }

// noSession takes the place of gws's map per connection.
type noSession struct{}

func (noSession) Len() int                     { return 0 }
func (noSession) Load(string) (any, bool)      { return nil, false }
func (noSession) Delete(string)                {}
func (noSession) Store(string, any)            {}
func (noSession) Range(func(string, any) bool) {}
