package socketio

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/carillonhq/carillon/transport/engineio"
)

// client is one Engine.IO session and its sockets, at most one in each
// namespace.
type client struct {
	server  *Server
	session *engineio.Session
	timer   *time.Timer // closes a session that joins no namespace

	// Touched by Message and Closed only, which are called one at a time.
	pending     *packet
	attachments [][]byte

	mu      sync.Mutex // guards all below
	sockets map[string]*Socket
	closed  bool
}

var (
	_ engineio.Receiver = (*client)(nil)
	_ engineio.Ender    = (*client)(nil)
)

func newClient(server *Server, session *engineio.Session) *client {
	c := &client{server: server, session: session, sockets: make(map[string]*Socket)}
	c.timer = time.AfterFunc(server.opts.ConnectTimeout, c.timeout)
	return c
}

// timeout closes a session that is in no namespace yet.
func (c *client) timeout() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sockets {
		if s.Connected() {
			return
		}
	}
	c.session.Close()
}

// Message implements engineio.Receiver. An error closes the session.
func (c *client) Message(binary bool, data []byte) error {
	if binary {
		return c.attachment(data)
	}
	if c.pending != nil {
		return fmt.Errorf("%w: text between attachments", errPacket)
	}
	p, err := decodePacket(data, c.server.opts.MaxAttachments)
	if err != nil {
		return err
	}
	if p.attachments > 0 {
		c.pending = &p
		return nil
	}
	return c.receive(p, nil)
}

func (c *client) attachment(data []byte) error {
	if c.pending == nil {
		return fmt.Errorf("%w: attachment of no packet", errPacket)
	}
	c.attachments = append(c.attachments, data)
	if len(c.attachments) < c.pending.attachments {
		return nil
	}
	p, attachments := *c.pending, c.attachments
	c.pending, c.attachments = nil, nil
	return c.receive(p, attachments)
}

// receive handles a complete packet. State violations close the connection,
// as Node's Client.ondecoded does.
func (c *client) receive(p packet, attachments [][]byte) error {
	if p.typ == typeConnect {
		return c.connect(p)
	}
	c.mu.Lock()
	s := c.sockets[p.namespace]
	c.mu.Unlock()
	isAck := p.typ == typeAck || p.typ == typeBinaryAck
	if s == nil {
		if isAck {
			return nil // a late one, from before a reconnection
		}
		return fmt.Errorf("%w: not in namespace %.64q", errPacket, p.namespace)
	}
	switch s.settled() {
	case disconnected:
		return nil // it was under way when we disconnected the socket
	case connecting:
		return fmt.Errorf("%w: not yet in namespace %.64q", errPacket, p.namespace)
	}
	if p.typ == typeDisconnect {
		c.forget(s)
		s.end(ReasonClient)
		return nil
	}
	if p.typ == typeConnectError {
		return fmt.Errorf("%w: CONNECT_ERROR from a client", errPacket)
	}
	args := splitArray(p.payload)
	if err := attach(args, attachments); err != nil {
		return err
	}
	if isAck {
		if ack := s.takeAck(p.id); ack != nil {
			ack <- args // has room for it
		}
		return nil
	}
	if len(p.payload) == 0 {
		return nil // tolerated, as by Node
	}
	name, err := eventName(args)
	if err != nil {
		return err
	}
	s.receive(&Event{Name: name, Args: args[1:], socket: s, id: p.id})
	return nil
}

// eventName returns the first item of an event's payload: a string that is
// not reserved, or a number.
func eventName(args Args) (string, error) {
	if len(args) == 0 {
		return "", fmt.Errorf("%w: event without a name", errPacket)
	}
	var name string
	first := args[0].json
	if err := json.Unmarshal(first, &name); err != nil {
		if _, err := strconv.ParseFloat(string(first), 64); err != nil {
			return "", fmt.Errorf("%w: event name is neither a string nor a number", errPacket)
		}
		return string(first), nil
	}
	if reserved[name] || string(first) == "null" {
		return "", fmt.Errorf("%w: reserved event name", errPacket)
	}
	return name, nil
}

// connect answers a CONNECT packet.
func (c *client) connect(p packet) error {
	namespace := c.server.lookup(p.namespace)
	if namespace == nil {
		refusal := connectError{Message: "Invalid namespace"}
		c.session.Send(encodeObject(typeConnectError, p.namespace, refusal).frames())
		return nil
	}
	s := &Socket{
		id:        namespace.adapter.NewID(),
		namespace: namespace,
		client:    c,
		handshake: newHandshake(c.session.Handshake(), p.payload),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	c.mu.Lock()
	if old := c.sockets[p.namespace]; old != nil && old.state.Load() != disconnected {
		c.mu.Unlock()
		s.cancel()
		return fmt.Errorf("%w: second CONNECT", errPacket)
	}
	c.sockets[p.namespace] = s
	closed := c.closed
	c.mu.Unlock()
	if closed { // by us, with packets still coming in
		s.cancel()
		return nil
	}
	s.inbox.push(&c.server.wg, true, s.start)
	return nil
}

// forget makes room for a new socket in s's namespace.
func (c *client) forget(s *Socket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sockets[s.namespace.name] == s {
		delete(c.sockets, s.namespace.name)
	}
}

// Ended implements engineio.Ender: handlers that wait for their ctx return, and
// Message can, and Closed follows.
func (c *client) Ended() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sockets {
		s.cancel()
	}
}

// Closed implements engineio.Receiver.
func (c *client) Closed(reason engineio.Reason, _ error) {
	why := Reason(reason)
	if c.server.closing.Load() && reason == engineio.ReasonForcedClose {
		why = ReasonShutdown
	}
	for _, s := range c.close() {
		s.end(why)
	}
}

// disconnect ends all sockets, and then the session.
func (c *client) disconnect() {
	for _, s := range c.close() {
		s.leave()
	}
	c.session.Close()
}

// close takes no further socket and returns those there are.
func (c *client) close() []*Socket {
	c.timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return slices.Collect(maps.Values(c.sockets))
}
