package socketio

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport"
)

// A Reason says why a socket was disconnected, in the words of Socket.IO.
type Reason string

// Besides these, a Reason may be one of engineio's.
const (
	ReasonClient   Reason = "client namespace disconnect"
	ReasonServer   Reason = "server namespace disconnect"
	ReasonShutdown Reason = "server shutting down"
)

// A Socket is one client in one namespace. All methods may be called
// concurrently.
//
// What one goroutine does reaches the client in its order: what it broadcast
// before what it emitted, what it emitted before it disconnected, and an
// acknowledgement behind what was emitted before.
type Socket struct {
	id        adapter.SocketID
	namespace *Namespace
	client    *client
	handshake *Handshake
	ctx       context.Context // ours, not a caller's: ends with the socket
	cancel    context.CancelFunc
	inbox     inbox
	state     atomic.Int32 // changes under mu

	mu    sync.Mutex     // guards all below, and the state's changes
	rooms []adapter.Room // before it was let in: to join; after its end: that it was in
	acks  map[uint64]chan Args
	data  any
}

// The states of a Socket; they only grow.
const (
	connecting int32 = iota
	connected
	disconnected
)

var _ adapter.Socket = (*socketAdapter)(nil)

// socketAdapter is the Socket as the Adapter sees it.
type socketAdapter struct{ *Socket }

// ID returns the socket's id, by which all nodes know it. It is not the
// session's secret id, and may be told to other clients.
func (s *Socket) ID() string { return string(s.id) }

// Namespace returns the namespace that the socket belongs to.
func (s *Socket) Namespace() *Namespace { return s.namespace }

// Handshake returns what the client said of itself when it connected. It must
// not be changed.
func (s *Socket) Handshake() *Handshake { return s.handshake }

// Transport returns the transport in use now, "polling" or "websocket".
func (s *Socket) Transport() string { return s.client.session.Transport() }

// Connected reports whether the socket was let in and has not ended since.
func (s *Socket) Connected() bool { return s.state.Load() == connected }

// settled returns the state as a client must see it: one that has its CONNECT
// packet is in, though admit has not returned yet.
func (s *Socket) settled() int32 {
	if state := s.state.Load(); state != connecting {
		return state
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Load()
}

// SetData keeps a value with the socket. FetchSockets shows it, encoded as
// JSON, to all nodes.
func (s *Socket) SetData(v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = v
}

// Data returns what SetData kept.
func (s *Socket) Data() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data
}

// Join makes the socket a member of rooms, in time for the next broadcast.
func (s *Socket) Join(rooms ...string) {
	s.mu.Lock()
	if s.state.Load() == connecting {
		s.rooms = appendRooms(s.rooms, rooms)
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	s.namespace.adapter.Join(s.id, appendRooms(nil, rooms)...)
}

// Leave takes the socket out of rooms.
func (s *Socket) Leave(rooms ...string) {
	s.namespace.adapter.Leave(s.id, appendRooms(nil, rooms)...)
}

// Rooms returns the rooms that the socket is in, its own (named by its ID)
// among them; once it is disconnected, those that it was in.
func (s *Socket) Rooms() []string {
	s.mu.Lock()
	rooms := s.rooms
	s.mu.Unlock()
	if s.state.Load() == connected {
		rooms = s.namespace.adapter.Rooms(s.id)
	}
	names := make([]string, len(rooms))
	for i, r := range rooms {
		names[i] = string(r)
	}
	return names
}

// Emit sends an event to the client. When it returns, the event is queued; it
// fails with ErrDisconnected if the socket is not, or no longer, connected.
func (s *Socket) Emit(event string, args ...any) error {
	return s.emit(noID, event, args)
}

func (s *Socket) emit(id uint64, event string, args []any) error {
	e, err := encodeEvent(s.namespace.name, id, event, args)
	if err != nil {
		return err
	}
	return s.send(e.frames())
}

// EmitVolatile sends an event that may be dropped if the client is not ready
// to take it, and reports whether it was sent.
func (s *Socket) EmitVolatile(event string, args ...any) (bool, error) {
	e, err := encodeEvent(s.namespace.name, noID, event, args)
	if err != nil {
		return false, err
	}
	if !s.Connected() {
		return false, ErrDisconnected
	}
	return s.client.session.SendVolatile(e.frames()), nil
}

// EmitWithAck sends an event and waits for the client's acknowledgement, whose
// arguments it returns. It fails with ErrDisconnected if the client goes, and
// with an error that wraps ctx's when ctx is done first.
func (s *Socket) EmitWithAck(ctx context.Context, event string, args ...any) (Args, error) {
	id := s.namespace.ackID.Add(1) - 1
	ack := make(chan Args, 1)
	s.mu.Lock()
	if s.state.Load() != connected {
		s.mu.Unlock()
		return nil, ErrDisconnected
	}
	if s.acks == nil {
		s.acks = make(map[uint64]chan Args)
	}
	s.acks[id] = ack
	s.mu.Unlock()
	defer s.takeAck(id)

	if err := s.emit(id, event, args); err != nil {
		return nil, err
	}
	select {
	case args := <-ack:
		return args, nil
	case <-s.ctx.Done():
		return nil, ErrDisconnected
	case <-ctx.Done():
		if s.ctx.Err() != nil { // a handler's ctx ends with the socket
			return nil, ErrDisconnected
		}
		return nil, fmt.Errorf("acknowledgement of %q: %w", event, ctx.Err())
	}
}

// EmitWithAck is Socket.EmitWithAck for an acknowledgement of one argument,
// decoded into R.
func EmitWithAck[R any](ctx context.Context, s *Socket, event string, args ...any) (R, error) {
	var r R
	answer, err := s.EmitWithAck(ctx, event, args...)
	if err == nil {
		err = answer.Bind(&r)
	}
	return r, err
}

// takeAck returns the channel that waits for an ack, once.
func (s *Socket) takeAck(id uint64) chan Args {
	s.mu.Lock()
	defer s.mu.Unlock()
	ack := s.acks[id]
	delete(s.acks, id)
	return ack
}

// To returns an Emitter to the members of rooms, on all nodes, but not to this
// socket.
func (s *Socket) To(rooms ...string) Emitter { return s.Broadcast().To(rooms...) }

// Except returns an Emitter to all sockets of the namespace but the members of
// rooms and this socket.
func (s *Socket) Except(rooms ...string) Emitter { return s.Broadcast().Except(rooms...) }

// Broadcast returns an Emitter to all sockets of the namespace but this one.
func (s *Socket) Broadcast() Emitter { return s.namespace.all().Except(string(s.id)) }

// Disconnect ends the socket, behind all that was emitted to it before; with
// close, it ends the client's connection and with it all its sockets. The
// client does not come back by itself. It does not wait.
func (s *Socket) Disconnect(close bool) {
	if close {
		s.client.disconnect()
		return
	}
	s.leave()
}

// leave ends the socket and tells the client.
func (s *Socket) leave() {
	if s.state.Load() == connected {
		s.client.session.Send(encodeObject(typeDisconnect, s.namespace.name, nil).frames())
	}
	s.end(ReasonServer)
}

// send queues frames for the client, if the socket is connected.
func (s *Socket) send(f *transport.Frames) error {
	if !s.Connected() {
		return ErrDisconnected
	}
	if err := s.client.session.Send(f); err != nil {
		return fmt.Errorf("%w: %w", ErrDisconnected, err)
	}
	return nil
}

// Deliver implements adapter.Socket.
func (s *socketAdapter) Deliver(p *adapter.Packet) bool {
	if s.settled() != connected {
		return false
	}
	f, _ := p.Shared(sharedFrames).(*transport.Frames)
	if f == nil {
		return false
	}
	if p.Volatile {
		return s.client.session.SendVolatile(f)
	}
	return s.client.session.Send(f) == nil
}

// ID implements adapter.Socket.
func (s *socketAdapter) ID() adapter.SocketID { return s.id }

// Info implements adapter.Socket.
func (s *socketAdapter) Info() []byte {
	info := socketInfo{Handshake: s.handshake}
	info.Data, _ = json.Marshal(s.Data()) // what can't be encoded is not shown
	b, _ := json.Marshal(info)
	return b
}

// start lets the socket in, or refuses it: the first job of its inbox.
func (s *Socket) start() {
	h := s.namespace.handlers.Load()
	for _, use := range h.use {
		if err := s.protect("middleware", func() error { return use(s.ctx, s) }); err != nil {
			s.refuse(err)
			return
		}
	}
	if !s.admit() {
		return
	}
	for _, f := range h.connect {
		s.protect("connect handler", func() error { f(s.ctx, s); return nil })
	}
}

// admit joins the socket to its rooms and sends the CONNECT packet, which
// precedes all else of the namespace. It reports false if the client has gone.
func (s *Socket) admit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() != connecting {
		return false
	}
	s.namespace.adapter.Add(&socketAdapter{s}, s.rooms...)
	s.rooms = nil
	answer := struct {
		SID string `json:"sid"`
	}{s.ID()}
	s.client.session.Send(encodeObject(typeConnect, s.namespace.name, answer).frames())
	s.state.Store(connected)
	s.client.timer.Stop()
	return true
}

// refuse answers the client's CONNECT with an error.
func (s *Socket) refuse(err error) {
	public, known := asError(err)
	if !known {
		s.logger().Error("middleware failed", "error", err)
	}
	s.client.forget(s)
	s.client.session.Send(encodeObject(typeConnectError, s.namespace.name, public.connectError()).frames())
	s.end(ReasonServer)
}

// end ends the socket, once.
func (s *Socket) end(reason Reason) {
	s.mu.Lock()
	was := s.state.Swap(disconnected)
	if was == connected {
		s.rooms = s.namespace.adapter.Rooms(s.id)
		s.namespace.adapter.Remove(s.id)
	}
	s.mu.Unlock()
	s.cancel()
	if was != connected {
		return
	}
	s.inbox.push(&s.namespace.server.wg, true, func() {
		ctx := context.WithoutCancel(s.ctx)
		for _, f := range s.namespace.handlers.Load().disconnect {
			s.protect("disconnect handler", func() error { f(ctx, s, reason); return nil })
		}
	})
}

// receive takes an event from the client, and waits while the inbox is full.
func (s *Socket) receive(e *Event) {
	h := s.namespace.handlers.Load().events[e.Name]
	if h == nil {
		s.logger().Debug("no handler for event", "event", e.Name)
		return
	}
	s.inbox.push(&s.namespace.server.wg, false, func() {
		err := s.protect("event handler", func() error { return h(s.ctx, s, e) })
		switch {
		case err != nil:
			e.Fail(err)
		case !e.deferred:
			e.Ack()
		}
	})
}

// protect calls f, and makes an error of its panic.
func (s *Socket) protect(what string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.logger().Error("panic in "+what, "panic", p, "stack", string(debug.Stack()))
			err = &Error{Code: "internal", Message: "internal error"}
		}
	}()
	return f()
}

func (s *Socket) logger() *slog.Logger {
	return s.namespace.server.logger.With("namespace", s.namespace.name, "socket", s.ID())
}
