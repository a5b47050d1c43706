package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
)

// A Handler is called with each event of a name, on the socket that sent it.
// The handlers of one socket are called one at a time, in the order in which
// the client sent; those of different sockets at the same time.
//
// ctx is cancelled when the socket disconnects. If the client asked for an
// acknowledgement and the Handler gave none, returning is one: without
// arguments for nil, else with {ok: false, error: {code, message}}. Errors
// that are no *Error are logged. A panic is recovered and is such an error.
type Handler func(ctx context.Context, s *Socket, e *Event) error

// An Event is what a client emitted.
type Event struct {
	Name string
	Args Args

	socket   *Socket
	id       uint64 // of the acknowledgement, or NoID
	acked    atomic.Bool
	deferred bool        // touched by the handler, and read after it
	owed     atomic.Bool // deferred, and counted in Socket.owed
}

// WantsAck reports whether the client waits for an acknowledgement.
func (e *Event) WantsAck() bool { return e.id != NoID }

// Size returns the bytes of the arguments as they came, binary included.
func (e *Event) Size() int {
	n := 0
	for _, a := range e.Args {
		n += len(a.data)
		for _, b := range a.attachments {
			n += len(b)
		}
	}
	return n
}

// Bind decodes the arguments into dst as Args.Bind does. Its error is for the
// client: an *Error of code "invalid" that says which value is wrong.
func (e *Event) Bind(dst ...any) error {
	for i, d := range dst {
		if i == len(e.Args) {
			break
		}
		if err := e.Args[i].Decode(d); err != nil {
			return invalid(i, err)
		}
	}
	return nil
}

// invalid puts a decoding error in a client's words.
func invalid(i int, err error) *Error {
	what := fmt.Sprintf("argument %d", i+1)
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if t.Field != "" {
			what += "." + t.Field
		}
		return Errorf("invalid", "%s: unexpected %s", what, t.Value)
	}
	return Errorf("invalid", "%s: %v", what, err)
}

// Ack answers the client, from any goroutine. Only the first call counts, and
// none if the client did not ask.
func (e *Event) Ack(args ...any) error {
	if !e.WantsAck() || e.acked.Swap(true) {
		return nil
	}
	packet, err := encodeAck(e.socket.parser(), e.socket.namespace.name, e.id, args)
	if err != nil {
		e.acked.Store(false) // the handler may still return it as an error
		return fmt.Errorf("ack %q: %w", e.Name, err)
	}
	defer e.settle()
	if err := e.socket.send(packet.frames()); err != nil {
		return err
	}
	e.socket.namespace.count(e.socket.namespace.hooks().AckSent)
	return nil
}

// Defer leaves the acknowledgement to a later call of Ack: the return of the
// Handler is none. A Server that drains waits a moment for what is deferred.
func (e *Event) Defer() {
	e.deferred = true
	if !e.WantsAck() || e.owed.Swap(true) {
		return
	}
	e.socket.owed.Add(1)
	if e.acked.Load() {
		e.settle()
	}
}

// settle follows the acknowledgement: it is owed no more.
func (e *Event) settle() {
	if e.owed.Swap(false) {
		e.socket.owed.Add(-1)
	}
}

// Fail is Ack with an error, as a Handler's return of err is.
func (e *Event) Fail(err error) {
	public, known := asError(err)
	if !known {
		e.socket.logger().Error("event handler failed", "event", e.Name, "error", err)
		if f := e.socket.namespace.hooks().Failed; f != nil {
			f(e.socket.namespace.name, e.Name, err)
		}
	}
	if ackErr := e.Ack(ackError{Error: errorFields(*public)}); ackErr != nil && !errors.Is(ackErr, ErrDisconnected) {
		e.socket.logger().Error("acknowledgement failed", "event", e.Name, "error", ackErr)
	}
}
