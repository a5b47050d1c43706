package socketio

import (
	"context"
	"fmt"

	"github.com/carillonhq/carillon/adapter"
)

// A Sender sends to one client, in a way of its own. It is a value and may be
// kept.
type Sender struct {
	socket     *Socket
	noCompress bool
}

// Compress returns a Sender whose events are, or are not, worth compressing on
// a connection that does; by default they are.
func (s *Socket) Compress(on bool) Sender { return Sender{socket: s, noCompress: !on} }

// Emit sends an event to the client. When it returns, the event is queued; it
// fails with ErrDisconnected if the socket is not, or no longer, connected. With
// Recovery, an event for a client that may come back is kept for it.
func (s *Socket) Emit(event string, args ...any) error { return Sender{socket: s}.Emit(event, args...) }

// EmitUnkept is Emit for what concerns this connection and is told anew by the
// next one, as from OnConnect: with Recovery it is not kept for a client that is
// lost before it has it, and costs no memory. An event whose last argument is a
// text, or that has none, is kept all the same: clients take what is last, if it
// is a text, for where they stand (socket.io-client, Socket.emitEvent).
func (s *Socket) EmitUnkept(event string, args ...any) error {
	return Sender{socket: s}.EmitUnkept(event, args...)
}

// EmitVolatile sends an event that may be dropped if the client is not ready
// to take it, and reports whether it was sent. Over polling a client is ready
// while one of its polls waits, over WebSocket while nothing is queued for it.
func (s *Socket) EmitVolatile(event string, args ...any) (bool, error) {
	return Sender{socket: s}.EmitVolatile(event, args...)
}

// EmitWithAck sends an event and waits for the client's acknowledgement, whose
// arguments it returns. ctx is the timeout: it fails with an error that wraps
// ctx's when ctx is done first, and with ErrDisconnected if the client goes. A
// Handler's ctx ends with the socket; context.WithTimeout makes it shorter.
func (s *Socket) EmitWithAck(ctx context.Context, event string, args ...any) (Args, error) {
	return Sender{socket: s}.EmitWithAck(ctx, event, args...)
}

// Emit is Socket.Emit.
func (t Sender) Emit(event string, args ...any) error {
	return t.emit(NoID, t.socket.seat != nil, event, args)
}

// EmitUnkept is Socket.EmitUnkept.
func (t Sender) EmitUnkept(event string, args ...any) error {
	keep := t.socket.seat != nil
	if last := len(args) - 1; keep && last >= 0 {
		r, err := rawOf(args[last])
		if err != nil {
			return fmt.Errorf("emit %q: argument %d: %w", event, last+1, err)
		}
		args = append(args[:last:last], r)
		keep = r.form != nil || len(r.data) > 0 && r.data[0] == '"'
	}
	return t.emit(NoID, keep, event, args)
}

// emit sends an event, and keeps it, if the socket has a seat, for the client to
// come back.
func (t Sender) emit(id uint64, keep bool, event string, args []any) error {
	s := t.socket
	e, err := encodeEvent(s.parser(), s.namespace.name, id, event, args)
	if err != nil {
		return err
	}
	if keep {
		return s.post(e, t.noCompress)
	}
	if !s.Connected() {
		return ErrDisconnected
	}
	if err := s.transmit(newOutgoing(e, id, t.noCompress)); err != nil {
		return fmt.Errorf("%w: %w", ErrDisconnected, err)
	}
	return nil
}

// EmitVolatile is Socket.EmitVolatile.
func (t Sender) EmitVolatile(event string, args ...any) (bool, error) {
	s := t.socket
	e, err := encodeEvent(s.parser(), s.namespace.name, NoID, event, args)
	if err != nil {
		return false, err
	}
	if !s.Connected() {
		return false, ErrDisconnected
	}
	if s.seat != nil {
		_, sent := s.namespace.log.Post(s.id, &adapter.Packet{Data: e.data(), Volatile: true, NoCompress: t.noCompress})
		return sent, nil
	}
	return s.deliver(newOutgoing(e, NoID, t.noCompress), true), nil
}

// post is transmit for a client that may be away.
func (s *Socket) post(e encoded, noCompress bool) error {
	p := &adapter.Packet{Data: e.data(), NoCompress: noCompress}
	known, _ := s.namespace.log.Post(s.id, p)
	switch {
	case known:
		return nil
	case s.seat.is(seatMoved):
		return s.namespace.adapter.Broadcast(s.seat.target(), p)
	}
	return ErrDisconnected
}

// EmitWithAck is Socket.EmitWithAck.
func (t Sender) EmitWithAck(ctx context.Context, event string, args ...any) (Args, error) {
	s := t.socket
	id := s.namespace.ackID.Add(1) - 1
	ack := make(chan Args, 1)
	waiting := s.expect(id, func(args Args, ok bool) {
		if ok {
			ack <- args // has room for it
		}
	})
	if !waiting {
		return nil, ErrDisconnected
	}
	defer func() { s.takeAck(id) }()
	if err := t.emit(id, false, event, args); err != nil {
		return nil, err
	}
	select {
	case args := <-ack:
		return args, nil
	case <-s.ctx.Done():
	case <-ctx.Done():
	}
	select {
	case args := <-ack: // both at a time
		return args, nil
	default:
	}
	if s.ctx.Err() != nil { // a handler's ctx ends with the socket
		return nil, ErrDisconnected
	}
	return nil, fmt.Errorf("acknowledgement of %q: %w", event, ctx.Err())
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

// transmit queues an event for the client, behind all that was sent before.
func (s *Socket) transmit(o *outgoing) error {
	s.observe(o)
	if err := s.client.session.Send(o.frames); err != nil {
		return err
	}
	s.namespace.count(s.namespace.hooks().Sent)
	return nil
}

// deliver is transmit, or its volatile form, which reports whether the client
// was ready.
func (s *Socket) deliver(o *outgoing, volatile bool) bool {
	if !volatile {
		return s.transmit(o) == nil
	}
	s.observe(o)
	if !s.client.session.SendVolatile(o.frames) {
		return false
	}
	s.namespace.count(s.namespace.hooks().Sent)
	return true
}

// observe calls OnAnyOutgoing's functions.
func (s *Socket) observe(o *outgoing) {
	fs := s.namespace.current.Load().anyOut
	if len(fs) == 0 {
		return
	}
	event, args := o.event(s.namespace)
	for _, f := range fs {
		s.protect("outgoing listener", func() error { f(s, event, args); return nil })
	}
}
