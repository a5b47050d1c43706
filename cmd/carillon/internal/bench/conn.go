package bench

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// A conn is one client. It keeps no buffer: what comes is read into one that
// is shared, and only what is left of a frame that is not whole is kept.
type conn struct {
	net   net.Conn
	index int // among the clients of the run
	rest  []byte
	hears hearer
	acks  chan error  // unless nil, is told of acknowledgements: nil for a good one
	ours  atomic.Bool // we end it
}

// A hearer is what a client's packets are for. Its methods are called on the
// goroutines of all clients.
type hearer interface {
	// event is called with an EVENT packet behind its type, and ack with an
	// ACK packet. now is when it was read, in nanoseconds since the run began.
	event(c *conn, packet []byte, now int64)
	ack(c *conn, packet []byte, now int64)

	// clock returns now.
	clock() int64
}

// buffers are what is read into.
var buffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

var pong = textFrame("3")

// An endError says how a server ended a connection.
type endError string

func (e endError) Error() string { return string(e) }

// feed takes what was read.
func (c *conn) feed(b []byte) error {
	now := c.hears.clock()
	if len(c.rest) > 0 {
		c.rest = append(c.rest, b...)
		b = c.rest
	}
	for {
		op, payload, size, err := cutFrame(b)
		if err != nil {
			return err
		}
		if size == 0 {
			break
		}
		if err := c.frame(op, payload, now); err != nil {
			return err
		}
		b = b[size:]
	}
	if len(b) == 0 {
		c.rest = nil
	} else {
		c.rest = append([]byte(nil), b...)
	}
	return nil
}

func (c *conn) frame(op byte, payload []byte, now int64) error {
	switch op {
	case opText:
		return c.packet(payload, now)
	case opPing:
		_, err := c.net.Write(appendFrame(nil, opPong, payload))
		return err
	case opClose:
		return endError("closed by the server" + closeStatus(payload))
	}
	return nil
}

// packet takes an Engine.IO packet.
func (c *conn) packet(p []byte, now int64) error {
	if len(p) == 0 {
		return nil
	}
	switch p[0] {
	case '1':
		return endError("closed by the server")
	case '2':
		_, err := c.net.Write(pong)
		return err
	case '4':
	default:
		return nil
	}
	if len(p) < 2 {
		return nil
	}
	switch p[1] {
	case '2':
		c.hears.event(c, p[2:], now)
	case '3':
		if c.acks != nil {
			c.acks <- refusal(p[2:])
			return nil
		}
		c.hears.ack(c, p[2:], now)
	case '1', '4':
		return endError("disconnected by the server")
	}
	return nil
}

// read reads until the end of the connection and says why it ended.
func (c *conn) read() error {
	if err, ok := c.readRaw(); ok {
		return err
	}
	buf := buffers.Get().(*[64 << 10]byte)
	defer buffers.Put(buf)
	for {
		n, err := c.net.Read(buf[:])
		if n > 0 {
			if err := c.feed(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// end closes the connection. What is lost with it does not matter, and no port
// is to be kept waiting for it.
func (c *conn) end() {
	c.ours.Store(true)
	if t, ok := c.net.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	c.net.Close()
}

// isEvent reports whether an EVENT packet is of this event.
func isEvent(packet []byte, name string) bool {
	return len(packet) > len(name)+3 && packet[0] == '[' && packet[1] == '"' &&
		string(packet[2:2+len(name)]) == name && packet[2+len(name)] == '"'
}

// refusal returns what a server says in an ACK packet is wrong, or nil.
func refusal(packet []byte) error {
	if !bytes.Contains(packet, []byte(`"ok":false`)) {
		return nil
	}
	return errors.New("refused: " + brief(string(packet)))
}

// brief is a text short enough to be shown and counted.
func brief(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 120 {
		s = strings.ToValidUTF8(s[:120], "") + "…"
	}
	return s
}
