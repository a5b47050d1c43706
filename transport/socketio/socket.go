package socketio

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport"
)

// A Reason says why a socket was disconnected, in the words of Socket.IO.
type Reason string

// Besides these, a Reason may be one of engineio's.
const (
	ReasonClient   Reason = "client namespace disconnect" // the client left the namespace
	ReasonServer   Reason = "server namespace disconnect" // Disconnect, or DisconnectSockets of any node
	ReasonForced   Reason = "forced server close"         // the client sent what is out of place
	ReasonShutdown Reason = "server shutting down"        // Shutdown or Close
)

// A Socket is one client in one namespace. All methods may be called
// concurrently.
//
// What one goroutine does reaches the client in its order: what it broadcast
// before what it emitted, what it emitted before it disconnected, and an
// acknowledgement behind what was emitted before.
//
// With Recovery, a Socket whose client's connection was lost stands for the
// client still, though it is not Connected: until it is too late for the client
// to come back, and afterwards if it is back, on a Socket of the same ID. Emit,
// Join, Leave, SetData and Disconnect reach it there, on whatever node.
type Socket struct {
	id        adapter.SocketID
	namespace *Namespace
	client    *client
	handshake *Handshake
	order     uint64          // among the sockets of client
	ctx       context.Context // ours, not a caller's: ends with the socket
	life      life            // ctx
	inbox     inbox
	owed      atomic.Int64 // acknowledgements that handlers have deferred
	state     atomic.Int32 // changes under mu

	// Of one that may be recovered; see Recovery.
	seat      *seat            // nil: it may not
	recovered bool             // it asks for a seat that there is,
	ticket    ticket           // by this,
	from      adapter.Position // with what came behind this,
	term      uint64           // in this term
	over      chan struct{}    // closed when all handlers have returned
	restored  bool             // its seat is that of a node that died

	mu    sync.Mutex     // guards all below, and the state's changes
	rooms []adapter.Room // before it was let in: to join; after its end: that it was in
	acks  map[uint64]func(args Args, ok bool)
	data  any
}

// The states of a Socket; they only grow.
const (
	connecting int32 = iota
	connected
	disconnected
)

var _ adapter.Answerer = (*socketAdapter)(nil)

// socketAdapter is the Socket as the Adapter sees it.
type socketAdapter struct{ *Socket }

func newSocket(c *client, n *Namespace, h *Handshake, a *seat) *Socket {
	s := &Socket{namespace: n, client: c, handshake: h, seat: a}
	switch {
	case a != nil:
		s.id, s.over = a.id, make(chan struct{})
	case c.v3:
		s.id = idV3(c.session.ID(), n.name)
	default:
		s.id = n.adapter.NewID()
	}
	s.ctx = &s.life
	return s
}

// ID returns the socket's id, by which all nodes know it. It is not the
// session's secret id, and may be told to other clients (unless the client
// speaks Engine.IO v3, whose sockets' ids hold the session's).
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
	mu, data := s.kept()
	mu.Lock()
	*data = v
	mu.Unlock()
	switch {
	case s.seat == nil:
	case s.seat.is(seatMoved):
		s.seat.sendData(v)
	default:
		s.seat.bequeathData(v)
	}
	if s.Connected() {
		s.namespace.server.observers.tell(s, func(o *Observer) func(*Socket) { return o.DataSet })
	}
}

// Data returns what SetData kept.
func (s *Socket) Data() any {
	mu, data := s.kept()
	mu.Lock()
	defer mu.Unlock()
	return *data
}

// kept is where the socket's data is, and what guards it.
func (s *Socket) kept() (*sync.Mutex, *any) {
	if s.seat != nil {
		return &s.seat.mu, &s.seat.data
	}
	return &s.mu, &s.data
}

// Join makes the socket a member of rooms, in time for the next broadcast.
func (s *Socket) Join(rooms ...string) {
	s.mu.Lock()
	if s.state.Load() == connecting && !s.recovered {
		s.rooms = appendRooms(s.rooms, rooms)
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	if s.seat != nil && s.seat.is(seatMoved) {
		_ = s.namespace.adapter.JoinAll(s.seat.target(), appendRooms(nil, rooms)...)
		return
	}
	s.namespace.adapter.Join(s.id, appendRooms(nil, rooms)...)
}

// Leave takes the socket out of rooms.
func (s *Socket) Leave(rooms ...string) {
	if s.seat != nil && s.seat.is(seatMoved) {
		_ = s.namespace.adapter.LeaveAll(s.seat.target(), appendRooms(nil, rooms)...)
		return
	}
	s.namespace.adapter.Leave(s.id, appendRooms(nil, rooms)...)
}

// Rooms returns the rooms that the socket is in, its own (named by its ID)
// among them; once it is disconnected, those that it was in.
func (s *Socket) Rooms() []string {
	s.mu.Lock()
	rooms := s.rooms
	s.mu.Unlock()
	if state := s.state.Load(); state == connected || state == connecting && s.recovered {
		rooms = s.namespace.adapter.Rooms(s.id)
	}
	names := make([]string, len(rooms))
	for i, r := range rooms {
		names[i] = string(r)
	}
	return names
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
	} else {
		s.leave()
	}
	if s.seat != nil { // which it may have no more, or not yet
		s.seat.Disconnect(close)
	}
}

// leave ends the socket and tells the client.
func (s *Socket) leave() {
	if s.settled() == connected {
		s.client.session.Send(encodeObject(s.parser(), TypeDisconnect, s.namespace.name, nil).frames())
	}
	s.end(ReasonServer)
}

func (s *Socket) parser() Parser { return s.namespace.server.opts.Parser }

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
	o := shared(p)
	if o != nil {
		o = o.plain(s.namespace)
	}
	return o != nil && s.deliver(o, p.Volatile)
}

// ID implements adapter.Socket.
func (s *socketAdapter) ID() adapter.SocketID { return s.id }

// Info implements adapter.Socket.
func (s *socketAdapter) Info() []byte {
	info := socketInfo{Client: s.ClientID(), Transport: s.Transport(), Handshake: s.handshake}
	info.Data, _ = json.Marshal(s.Data()) // what can't be encoded is not shown
	b, _ := json.Marshal(info)
	return b
}

// cancel ends the socket's ctx: its handlers are to return.
func (s *Socket) cancel() { s.life.end() }

// end ends the socket, once.
func (s *Socket) end(reason Reason) { s.finish(reason, false) }

// finish is end, or park, which keeps the socket's seat.
func (s *Socket) finish(reason Reason, keep bool) {
	s.mu.Lock()
	was := s.state.Swap(disconnected)
	kept := was == connected && keep && s.seat != nil
	var crowded *seat
	if was == connected {
		s.rooms = s.namespace.adapter.Rooms(s.id)
		s.namespace.remove(s)
		switch {
		case kept:
			crowded = s.seat.park()
		case s.seat != nil:
			s.seat.leave()
		default:
			s.namespace.adapter.Remove(s.id)
		}
	}
	acks := s.acks
	s.acks = nil
	s.mu.Unlock()
	s.cancel()
	if was == disconnected {
		return
	}
	for _, f := range acks {
		f(nil, false)
	}
	server := s.namespace.server
	s.inbox.push(&server.crew, true, func() {
		if s.over != nil {
			defer close(s.over)
		}
		if !kept { // else its seat stays
			defer server.exit(s.namespace)
		}
		if was != connected {
			return
		}
		if f := s.namespace.hooks().Disconnected; f != nil {
			f(s.namespace.name, reason)
		}
		ctx := context.WithoutCancel(s.ctx)
		for _, f := range s.namespace.current.Load().disconnect {
			s.protect("disconnect handler", func() error { f(ctx, s, reason); return nil })
		}
	})
	if kept {
		s.namespace.count(s.namespace.hooks().Parked)
	}
	switch crowded {
	case nil:
	default:
		crowded.drop(crowded.crowded(s.seat))
	}
}

// protect calls f, and makes an error of its panic.
func (s *Socket) protect(what string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.namespace.server.panicked(s.logger(), what, p)
			err = &Error{Code: "internal", Message: "internal error"}
		}
	}()
	return f()
}

func (s *Socket) logger() *slog.Logger {
	return s.namespace.server.logger.With("namespace", s.namespace.name, "socket", s.ID())
}
