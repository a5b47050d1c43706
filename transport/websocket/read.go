package websocket

import (
	"bytes"
	"fmt"
	"io"
	"runtime/debug"
	"unicode/utf8"

	"github.com/lxzan/gws"

	"github.com/carillonhq/carillon/transport"
)

// serve is the reading goroutine.
func (c *Conn) serve() {
	deepen()
	rests, err := c.read()
	if rests {
		c.rest()
		return
	}
	defer c.a.release(c)
	defer c.kill()
	c.mu.Lock()
	flushed := c.flushed
	cut := c.phase == open || c.phase >= broken
	c.mu.Unlock()
	if cut {
		c.kill()
	}
	c.tell(err)
	if cut {
		return
	}

	// The client gets time to read what is on its way, the close frame last.
	// To close a socket that holds unread bytes would reset it, and the
	// client would take the end for an accident. All this is bounded by
	// closeBy, which is the deadline of inner.
	if flushed != nil {
		<-flushed
	}
	if half, ok := c.inner.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		io.Copy(io.Discard, c.inner)
	}
}

// read reads until there is nothing more to read and returns why, in the
// words of transport.Receiver, or until the Conn is to rest. No panic passes it:
// gws is known to fall over frames whose length has the top bit set.
func (c *Conn) read() (rests bool, err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if _, rests = p.(resting); rests {
			return
		}
		c.a.opts.Hooks.Panicked()
		if c.receiving {
			c.a.opts.Logger.Error("receiver panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("websocket: receiver panicked: %v", p)
			c.shut(statusInternal, err)
			return
		}
		err = fmt.Errorf("%w: %v", transport.ErrProtocol, p)
		c.a.opts.Hooks.Violated(err)
		c.shut(statusProtocol, err)
	}()
	c.sock.ReadLoop()
	return false, c.reason()
}

// reason translates what gws says about the end of reading.
func (c *Conn) reason() error {
	err := c.closeErr
	if c.readErr != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.lostErr != nil {
			return c.lostErr // reading failed because of it
		}
		return err
	}
	switch e := err.(type) {
	case *gws.CloseError:
		if validStatus(e.Code) && utf8.Valid(e.Reason) {
			return transport.ErrClosed
		}
		err = fmt.Errorf("%w: invalid close frame, status %d", transport.ErrProtocol, e.Code)
	case interface{ Uint16() uint16 }: // gws keeps the type of its status codes to itself
		if e.Uint16() == statusTooLarge {
			err = transport.ErrTooLarge
		} else {
			err = fmt.Errorf("%w: %v", transport.ErrProtocol, err)
		}
	default: // said of one frame: its opcode, its encoding
		err = fmt.Errorf("%w: %v", transport.ErrProtocol, err)
	}
	if !c.turnedDown {
		c.a.opts.Hooks.Violated(err)
	}
	return err
}

// validStatus reports whether a client may send status in a close frame
// (RFC 6455, section 7.4); 0 stands for none.
func validStatus(status uint16) bool {
	switch status {
	case 1004, 1005, 1006, 1014, 1015:
		return false
	}
	return status == 0 || status >= 1000 && status < 1016 || status >= 3000 && status < 5000
}

// tell makes the one call of Closed, with err unless the reason is settled.
func (c *Conn) tell(err error) {
	c.mu.Lock()
	c.decideLocked(err)
	why := c.why
	c.mu.Unlock()
	defer func() {
		if p := recover(); p != nil {
			c.a.opts.Hooks.Panicked()
			c.a.opts.Logger.Error("receiver panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	c.recv.Closed(why)
}

// events is what gws calls on the reading goroutine.
type events struct{}

// OnOpen is called whenever reading begins, and not in the midst of a frame.
func (events) OnOpen(s *gws.Conn) { connOf(s).framed() }

func (events) OnPong(s *gws.Conn, _ []byte) { connOf(s).framed() }

func (events) OnClose(s *gws.Conn, err error) { connOf(s).closeErr = err }

// OnPing answers with the ping's payload (RFC 6455, section 5.5.3).
func (events) OnPing(s *gws.Conn, payload []byte) {
	_ = s.WritePong(payload)
	connOf(s).framed()
}

// framed takes note of the end of a frame.
func (c *Conn) framed() { c.between = c.reader.Buffered() == 0 }

func (events) OnMessage(s *gws.Conn, m *gws.Message) {
	c := connOf(s)
	defer c.framed()
	if c.turnedDown || c.isDead() {
		m.Close()
		return
	}
	f, err := c.dialect.Decode(m.Opcode == gws.OpcodeBinary, own(m))
	if err == nil {
		c.receiving = true
		err = c.recv.Frame(f.Binary, f.Data)
		c.receiving = false
	} else {
		c.a.opts.Hooks.Violated(err)
	}
	if err != nil {
		c.turnedDown = true
		c.shut(statusPolicy, err)
	}
}

// own returns m's payload for good. gws's pooled buffers hold 128 bytes and
// more; for small frames, which may be kept by the thousand, a copy is less.
func own(m *gws.Message) []byte {
	if m.Data.Len() > 4<<10 {
		return m.Bytes()
	}
	data := bytes.Clone(m.Bytes())
	m.Close()
	return data
}

func (c *Conn) isDead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase == dead
}
