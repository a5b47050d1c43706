package socketio

import (
	"context"

	"github.com/carillonhq/carillon/adapter"
)

// A Tracer makes the events of a Server part of distributed traces: a span of
// the trace for each event of a client that a Handler gets, and for each that
// an Emitter with a trace emits (see Emitter.Context). Which trace an event is
// part of travels with it as an adapter.Packet's Trace, to the adapter.Hooks
// that see it on its way. All methods may be called concurrently, are on the
// way of what they follow, and must not block.
type Tracer interface {
	// Receive is called before an event of a client is handled, with the
	// socket's ctx. Middlewares and Handler get the ctx that it returns, which
	// must be derived of it; done is called after them, with the Handler's
	// error or that of the middleware that refused.
	Receive(ctx context.Context, s *Socket, event string) (_ context.Context, done func(err error))

	// Inject returns the trace that ctx is part of in a form that can travel,
	// or nothing: ctx is part of none, or of one that is not recorded.
	Inject(ctx context.Context) string

	// Emit is called before an event goes to the adapter, with what Inject
	// returned unless that is nothing. The event travels with onward; done is
	// called when it was handed on, or all have answered.
	Emit(e Emission) (onward string, done func(err error))
}

// An Emission is an event that an Emitter emits.
type Emission struct {
	Namespace string
	Event     string
	Target    adapter.Target
	Trace     string // what Tracer.Inject returned
}

// tracing has the Tracer follow an event that is emitted as p. What it returns,
// unless nil, is to be called when that is done.
func (e *Emitter) tracing(p *adapter.Packet, event string) (done func(err error)) {
	if e.trace == "" {
		return nil
	}
	p.Trace, done = e.namespace.server.opts.Tracer.Emit(Emission{
		Namespace: e.namespace.name,
		Event:     event,
		Target:    e.target,
		Trace:     e.trace,
	})
	return done
}
