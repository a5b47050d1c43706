package socketio

import (
	"context"
	"slices"

	"github.com/carillonhq/carillon/adapter"
)

// An Emitter is a choice of sockets, on all nodes, and a way to reach them. It
// is a value: every method returns a new one, and one may be kept and used by
// many goroutines.
type Emitter struct {
	namespace  *Namespace
	target     adapter.Target
	volatile   bool
	noCompress bool
	trace      string // that the events are part of, in the Tracer's words
}

// To adds the members of rooms to the sockets chosen; without any To all are.
// A socket in several of the rooms is chosen once.
func (e Emitter) To(rooms ...string) Emitter {
	e.target.Rooms = appendRooms(e.target.Rooms, rooms)
	return e
}

// In is To.
func (e Emitter) In(rooms ...string) Emitter { return e.To(rooms...) }

// Except leaves out the members of rooms.
func (e Emitter) Except(rooms ...string) Emitter {
	e.target.Except = appendRooms(e.target.Except, rooms)
	return e
}

// Local leaves out the sockets of other nodes.
func (e Emitter) Local() Emitter {
	e.target.Local = true
	return e
}

// Volatile lets an event be dropped for each client that is not ready to take
// it: one that is slow, or between two polls.
func (e Emitter) Volatile() Emitter {
	e.volatile = true
	return e
}

// Compress says whether events are worth compressing on connections that do;
// by default they are.
func (e Emitter) Compress(on bool) Emitter {
	e.noCompress = !on
	return e
}

// Context makes the events part of the distributed trace that ctx is part of,
// such as that of a Handler's event, if the Server has a Tracer; else it has no
// effect. It takes neither deadline nor cancellation from ctx.
func (e Emitter) Context(ctx context.Context) Emitter {
	if tracer := e.namespace.server.opts.Tracer; tracer != nil {
		e.trace = tracer.Inject(ctx)
	}
	return e
}

func appendRooms(to []adapter.Room, rooms []string) []adapter.Room {
	to = slices.Grow(slices.Clip(to), len(rooms))
	for _, r := range rooms {
		to = append(to, adapter.Room(r))
	}
	return to
}

// Emit sends an event. When it returns, the event is queued for the chosen
// clients of this node, behind all that was emitted to them before. An error
// says that it could not be encoded, or why other nodes will not get it.
func (e Emitter) Emit(event string, args ...any) error {
	p, err := e.packet(event, args)
	if err != nil {
		return err
	}
	done := e.tracing(p, event)
	err = e.namespace.adapter.Broadcast(e.target, p)
	if done != nil {
		done(err)
	}
	return err
}

// Deliver is Emit with a receipt, which tells how many sockets the event was
// handed to.
func (e Emitter) Deliver(event string, args ...any) (*adapter.Receipt, error) {
	p, err := e.packet(event, args)
	if err != nil {
		return nil, err
	}
	done := e.tracing(p, event)
	r := e.namespace.adapter.Deliver(e.target, p)
	if done != nil {
		done(nil) // what became of it, the Receipt tells
	}
	return r, nil
}

func (e Emitter) packet(event string, args []any) (*adapter.Packet, error) {
	encoded, err := encodeEvent(e.namespace.server.opts.Parser, e.namespace.name, NoID, event, args)
	if err != nil {
		return nil, err
	}
	return &adapter.Packet{Data: encoded.data(), Volatile: e.volatile, NoCompress: e.noCompress}, nil
}

// Count returns the number of sockets chosen. If nodes did not answer before
// ctx was done, it counts the others' and returns an *adapter.PartialError.
func (e Emitter) Count(ctx context.Context) (int, error) {
	return e.namespace.adapter.Count(ctx, e.target)
}

// SocketsJoin makes the sockets chosen join rooms.
func (e Emitter) SocketsJoin(rooms ...string) error {
	return e.namespace.adapter.JoinAll(e.target, appendRooms(nil, rooms)...)
}

// SocketsLeave makes the sockets chosen leave rooms.
func (e Emitter) SocketsLeave(rooms ...string) error {
	return e.namespace.adapter.LeaveAll(e.target, appendRooms(nil, rooms)...)
}

// DisconnectSockets disconnects the sockets chosen from the namespace, behind
// all that was emitted to them before, and with close from all others too.
func (e Emitter) DisconnectSockets(close bool) error {
	return e.namespace.adapter.DisconnectAll(e.target, close)
}
