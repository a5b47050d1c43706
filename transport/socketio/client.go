package socketio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	v3      bool            // it speaks Socket.IO protocol v4, over Engine.IO v3
	ctx     context.Context // ours, not a caller's: ends with the session
	life    life            // ctx

	// Used by Message and Closed only, which are called one at a time.
	decoder Decoder
	forced  bool // we close the session: what still comes is dropped

	mu      sync.Mutex // guards all below
	sockets sockets
	joined  uint64 // number of sockets that there were
	closed  bool
	timer   *time.Timer // closes a session that joins no namespace; nil when it has joined one
}

var (
	_ engineio.Receiver = (*client)(nil)
	_ engineio.Ender    = (*client)(nil)
)

func newClient(server *Server, session *engineio.Session) *client {
	c := &client{server: server, session: session, decoder: server.opts.Parser.NewDecoder()}
	c.ctx = &c.life
	c.mu.Lock()
	c.timer = time.AfterFunc(server.opts.ConnectTimeout, c.timeout)
	c.mu.Unlock()
	if c.v3 = server.protocolOf(session) == 3; c.v3 {
		c.connect("/", Raw{}) // it takes that for granted
	}
	return c
}

// timeout closes a session that is in no namespace yet.
func (c *client) timeout() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sockets.all() {
		if s.Connected() {
			return
		}
	}
	c.session.Close()
}

// joins ends the wait for the first socket. It needs mu.
func (c *client) joins() {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil // it takes as much as the client
	}
}

// Message implements engineio.Receiver. An error closes the session.
func (c *client) Message(binary bool, data []byte) error {
	if c.forced {
		return nil
	}
	err := c.message(binary, data)
	if err == nil {
		return nil
	}
	if f := c.server.opts.Hooks.Violation; f != nil {
		f(err)
	}
	c.server.logger.Debug("protocol violation", "error", err)
	if errors.Is(err, errState) {
		c.forced = true
		c.session.Close()
		return nil
	}
	return err
}

func (c *client) message(binary bool, data []byte) error {
	p, err := c.decoder.Decode(binary, data)
	if p == nil || err != nil {
		return err
	}
	return c.receive(p)
}

// receive handles a complete packet.
func (c *client) receive(p *Packet) error {
	if c.v3 {
		splitQuery(p)
	}
	if p.Type == TypeConnect {
		var auth Raw
		if len(p.Args) > 0 {
			auth = p.Args[0]
		}
		return c.connect(p.Namespace, auth)
	}
	c.mu.Lock()
	s := c.sockets.in(p.Namespace)
	c.mu.Unlock()
	isAck := p.Type == TypeAck
	if s == nil {
		if isAck {
			return nil // a late one, from before a reconnection
		}
		return fmt.Errorf("%w: not in namespace %.64q", errState, p.Namespace)
	}
	switch s.settled() {
	case disconnected:
		return nil // it was under way when we disconnected the socket
	case connecting:
		return fmt.Errorf("%w: not yet in namespace %.64q", errState, p.Namespace)
	}
	if p.Type == TypeDisconnect {
		c.forget(s)
		s.end(ReasonClient)
		return nil
	}
	if p.Type == TypeConnectError {
		return fmt.Errorf("%w: CONNECT_ERROR from a client", errState)
	}
	if isAck {
		if ack := s.takeAck(p.ID); ack != nil {
			s.namespace.count(c.server.opts.Hooks.AckReceived)
			ack(p.Args, true)
		}
		return nil
	}
	if p.Args == nil {
		return nil // tolerated, as by Node
	}
	name, err := eventName(p.Args)
	if err != nil {
		return err
	}
	s.receive(&Event{Name: name, Args: p.Args[1:], socket: s, id: p.ID})
	return nil
}

// eventName returns the first item of an event's payload: a string that is
// not reserved, or a number.
func eventName(args Args) (string, error) {
	if len(args) == 0 {
		return "", fmt.Errorf("%w: event without a name", errPacket)
	}
	if args[0].attachments != nil {
		return "", fmt.Errorf("%w: event name is binary", errPacket)
	}
	text, err := args[0].inline()
	if err != nil {
		return "", err
	}
	if len(text) < 2 || text[0] != '"' {
		if _, err := strconv.ParseFloat(string(text), 64); err != nil {
			return "", fmt.Errorf("%w: event name is neither a string nor a number", errPacket)
		}
		return string(text), nil
	}
	name, err := unquote(text)
	if err != nil {
		return "", fmt.Errorf("%w: event name: %w", errPacket, err)
	}
	if reserved[name] {
		return "", fmt.Errorf("%w: reserved event name", errPacket)
	}
	return name, nil
}

// connect answers a CONNECT packet.
func (c *client) connect(name string, auth Raw) error {
	c.mu.Lock()
	old, closed := c.sockets.in(name), c.closed
	c.mu.Unlock()
	if closed { // by us, with packets still coming in
		return nil
	}
	if old != nil && old.state.Load() != disconnected {
		return fmt.Errorf("%w: second CONNECT", errState)
	}
	var t ticket
	if c.server.recovery != nil && !c.v3 {
		t, auth = takeTicket(auth)
	}
	handshake := newHandshake(c.session.Handshake(), auth)
	namespace, err := c.server.enter(c.ctx, name, handshake)
	if err != nil {
		if f := c.server.opts.Hooks.Refused; f != nil {
			f(name, err)
		}
		c.refuse(name, connectError{Message: "Invalid namespace"})
		return nil
	}
	s := c.seated(namespace, handshake, t)
	c.mu.Lock()
	closed = c.closed
	if !closed {
		c.joined++
		s.order = c.joined
		c.sockets.put(s) // only we, called one at a time, put sockets in
	}
	c.mu.Unlock()
	if closed {
		s.end(ReasonServer)
		return nil
	}
	s.inbox.push(&c.server.crew, true, s.start)
	return nil
}

// refuse answers a CONNECT packet with an error.
func (c *client) refuse(namespace string, err connectError) {
	var payload any = err
	if c.v3 {
		payload = err.bare()
	}
	c.session.Send(encodeObject(c.server.opts.Parser, TypeConnectError, namespace, payload).frames())
}

// forget makes room for a new socket in s's namespace.
func (c *client) forget(s *Socket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sockets.drop(s)
}

// Ended implements engineio.Ender: handlers that wait for their ctx return, and
// Message can, and Closed follows.
func (c *client) Ended() { c.cancel() }

// cancel ends ctx and those of all sockets.
func (c *client) cancel() {
	c.life.end()
	c.mu.Lock()
	sockets := c.sockets.all()
	c.mu.Unlock()
	for _, s := range sockets {
		s.cancel()
	}
}

// Closed implements engineio.Receiver.
func (c *client) Closed(reason engineio.Reason, _ error) {
	c.cancel()
	why := Reason(reason)
	if reason == engineio.ReasonForcedClose {
		switch {
		case c.forced:
			why = ReasonForced
		case c.server.closing.Load():
			why = ReasonShutdown
		}
	}
	keep := c.server.keeps(why)
	for _, s := range c.close() {
		s.finish(why, keep)
	}
}

// disconnect ends all sockets, and then the session.
func (c *client) disconnect() {
	for _, s := range c.close() {
		s.leave()
	}
	c.session.Close()
}

// close takes no further socket and returns those there are, in the order in
// which they came.
func (c *client) close() []*Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.joins()
	all := c.sockets.all()
	slices.SortFunc(all, func(a, b *Socket) int { return cmp.Compare(a.order, b.order) })
	return all
}
