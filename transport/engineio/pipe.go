package engineio

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/carillonhq/carillon/transport"
)

// pipeWindow is how many bytes may be on their way in each direction of a pipe:
// sent, and not yet taken by the client or the Receiver. What exceeds it waits
// at the owner, or unread in the client's connection.
const pipeWindow = 256 << 10

// pipeClose bounds how long a pipe may take to close: what is queued reaches
// the client, the client answers, and that is told.
const pipeClose = 10 * time.Second

// errPipe says that another node, which has the client's WebSocket, cannot be
// reached, or has lost messages.
var errPipe = errors.New("engineio: lost the node of the client's WebSocket")

// What an edge tells of the end of a WebSocket, and how an owner wants it to end.
const (
	endClosed   = iota + 1 // by the client, orderly
	endCut                 // the connection just ended
	endSlow                // ErrSlow
	endProtocol            // ErrProtocol
	endTooLarge            // ErrTooLarge
	endOther
	endNone   // as the owner wanted
	endPacket // of a candidate, for an unexpected packet

	endClose // orderly
	endAway  // orderly, as of a server that stops
	endAbort // at once
)

// pipeError is a cause as the error of a Conn.
func pipeError(cause uint64) error {
	switch cause {
	case endClosed:
		return transport.ErrClosed
	case endCut:
		return fmt.Errorf("at another node: %w", io.ErrUnexpectedEOF)
	case endSlow:
		return transport.ErrSlow
	case endProtocol:
		return fmt.Errorf("%w, at another node", transport.ErrProtocol)
	case endTooLarge:
		return transport.ErrTooLarge
	case endNone:
		return nil
	}
	return errPipe
}

// pipeCause is the opposite.
func pipeCause(err error) uint64 {
	reason, _ := reasonOf(err)
	switch {
	case err == nil:
		return endNone
	case errors.Is(err, transport.ErrSlow):
		return endSlow
	case errors.Is(err, transport.ErrTooLarge):
		return endTooLarge
	case errors.Is(err, transport.ErrProtocol):
		return endProtocol
	case errors.Is(err, transport.ErrClosed):
		return endClosed
	case reason == ReasonTransportClose:
		return endCut
	}
	return endOther
}

// A pipe is a WebSocket that another node, the edge, has of a client of ours:
// a transport.Conn.
type pipe struct {
	p    *peering
	id   uint64
	edge string
	box  *outbox
	sess *Session
	recv *link

	place place // in box, guarded by peering.mu
	taken int   // bytes of the client for which it has no credit yet; of the goroutine that hands over

	mu       sync.Mutex // guards the fields below; then box may be called
	phase    pipePhase
	err      error               // what Closed is told, once ended
	queue    []*transport.Frames // what exceeds the window
	size     int                 // bytes of queue
	window   int                 // bytes that may be sent; below 0 after a long frame
	last     []byte              // said when queue is empty and phase is closing
	in       []transport.Frame   // of the client, not yet handed to recv
	begun    bool                // recv has heard that the upgrade is complete
	running  bool                // a goroutine hands over
	reported bool                // Closed was called, or will be at once
	limit    alarm               // bounds closing
}

type pipePhase int

const (
	pipeOpen pipePhase = iota
	pipeClosing
	pipeEnded
)

var _ transport.Conn = (*pipe)(nil)

// newPipe makes a pipe that is a candidate of a session.
func (p *peering) newPipe(edge string, sess *Session, l *link) *pipe {
	c := &pipe{p: p, edge: edge, box: p.box(edge), sess: sess, recv: l, window: pipeWindow}
	c.limit = alarm{wg: &p.wg, f: func() { c.end(nil) }}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	c.id = p.last
	p.pipes[c.id] = c
	return c
}

// Send implements transport.Conn.
func (c *pipe) Send(f *transport.Frames) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != pipeOpen {
		return transport.ErrClosed
	}
	if len(c.queue) == 0 && c.window > 0 {
		c.put(f)
		return nil
	}
	if c.size+queueCost*len(c.queue) >= c.p.srv.opts.MaxQueue {
		c.endLocked(transport.ErrSlow)
		if h := c.p.srv.opts.Hooks.WebSocket.Slow; h != nil {
			h()
		}
		return transport.ErrSlow
	}
	c.queue = append(c.queue, f)
	c.size += len(f.WebSocket())
	return nil
}

// queueCost is what each Send counts besides its frames, as for other Conns.
const queueCost = 64

// SendVolatile implements transport.Conn: f is dropped while the window is used
// up.
func (c *pipe) SendVolatile(f *transport.Frames) bool {
	c.mu.Lock()
	ok := c.phase == pipeOpen && len(c.queue) == 0 && c.window > 0
	if ok {
		c.put(f)
	}
	c.mu.Unlock()
	if h := c.p.srv.opts.Hooks.WebSocket.Dropped; !ok && h != nil {
		h()
	}
	return ok
}

// put sends f. It needs mu.
func (c *pipe) put(f *transport.Frames) {
	c.window -= len(f.WebSocket())
	c.box.frames(c, f)
}

// credit follows that the client has taken n bytes.
func (c *pipe) credit(n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == pipeEnded {
		return
	}
	c.window += int(min(n, pipeWindow<<10))
	for len(c.queue) > 0 && c.window > 0 {
		f := c.queue[0]
		c.queue[0] = nil
		c.queue = c.queue[1:]
		c.size -= len(f.WebSocket())
		c.put(f)
	}
	c.finish()
}

// finish says the end behind what is queued. It needs mu.
func (c *pipe) finish() {
	if c.phase == pipeClosing && len(c.queue) == 0 && c.last != nil {
		c.queue = nil
		c.box.say(c, c.last)
		c.last = nil
	}
}

// Buffered implements transport.Conn: it is what exceeds the window.
func (c *pipe) Buffered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}

// Close implements transport.Conn.
func (c *pipe) Close() { c.shut(endClose) }

// GoAway is Close for a server that stops.
func (c *pipe) GoAway() { c.shut(endAway) }

func (c *pipe) shut(how uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != pipeOpen {
		return
	}
	c.phase = pipeClosing
	c.last = peerMessage(kindClose, c.id, how)
	c.limit.set(pipeClose)
	c.finish()
}

// Abort implements transport.Conn.
func (c *pipe) Abort() { c.end(nil) }

// end ends the pipe at once. If the edge does not know of it, it is told.
func (c *pipe) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(err)
}

func (c *pipe) endLocked(err error) {
	if c.phase == pipeEnded {
		return
	}
	c.box.say(c, peerMessage(kindClose, c.id, endAbort))
	c.over(err)
}

// over enters the phase ended. It needs mu.
func (c *pipe) over(err error) {
	if c.phase == pipeClosing {
		err = nil // it is the end that we asked for
	}
	c.phase, c.err = pipeEnded, err
	c.queue, c.size, c.last = nil, 0, nil
	c.limit.stop()
	c.p.drop(c)
	c.hand()
}

// ended follows the end of the WebSocket.
func (c *pipe) ended(cause uint64) {
	if cause == endPacket {
		c.sess.dropped(c.recv, "packet")
		cause = endNone
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != pipeEnded {
		c.over(pipeError(cause))
	}
}

// begin makes the pipe the session's transport, and hands over what comes by it;
// or the session moves to where the pipe ends.
func (c *pipe) begin() {
	if state, ok := c.sess.depart(c.recv); ok {
		c.p.drop(c)
		c.box.say(c, appendText(peerMessage(kindMoved, c.id), state))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begun || c.phase == pipeEnded {
		return
	}
	c.box.say(c, peerMessage(kindPiped, c.id))
	c.begun = true
	c.in = append(c.in, transport.Frame{Data: []byte("5")}) // link.Frame knows what to do
	c.hand()
}

// frame takes a frame of the client.
func (c *pipe) frame(f transport.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == pipeEnded || !c.begun {
		return
	}
	c.in = append(c.in, f)
	c.hand()
}

// hand has what came handed over, and the end reported behind it. It needs mu.
func (c *pipe) hand() {
	if c.running || c.reported || len(c.in) == 0 && c.phase != pipeEnded {
		return
	}
	c.running = true
	if !c.p.run(c.serve) {
		go c.serve() // only a candidate ends so late; it calls nobody
	}
}

// serve is the goroutine of hand; it ends when there is nothing left.
func (c *pipe) serve() {
	defer func() {
		if v := recover(); v != nil { // of the Receiver
			c.p.panicked(v)
			c.mu.Lock()
			c.in, c.running = nil, false
			c.endLocked(fmt.Errorf("engineio: receiver panicked: %v", v))
			c.hand()
			c.mu.Unlock()
		}
	}()
	for {
		c.mu.Lock()
		if len(c.in) == 0 {
			c.in = nil
			if c.phase == pipeEnded {
				c.reported = true
			}
			reported, err := c.reported, c.err
			c.running = false
			c.mu.Unlock()
			if reported {
				c.recv.Closed(err)
			}
			return
		}
		f := c.in[0]
		c.in[0] = transport.Frame{}
		c.in = c.in[1:]
		c.mu.Unlock()

		if err := c.recv.Frame(f.Binary, f.Data); err != nil {
			c.mu.Lock()
			c.in = nil
			c.endLocked(err)
			c.mu.Unlock()
			continue
		}
		if c.taken += frameCost(len(f.Data)); c.taken >= pipeWindow/4 {
			_ = c.p.link.Send(c.edge, peerMessage(kindGrant, c.id, uint64(c.taken))) // else the edge is lost
			c.taken = 0
		}
	}
}

// frameCost is what a frame of n bytes of a client counts.
func frameCost(n int) int { return n + 16 }
