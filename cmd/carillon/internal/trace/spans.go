package trace

import (
	"context"
	"errors"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport/socketio"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

var _ socketio.Tracer = (*Tracer)(nil)

// What spans tell.
const (
	keyNamespace = attribute.Key("carillon.namespace")
	keyEvent     = attribute.Key("carillon.event")
	keyRooms     = attribute.Key("carillon.rooms")   // how many are named; 0: all sockets
	keySockets   = attribute.Key("carillon.sockets") // how many took it
	keyFrom      = attribute.Key("carillon.from")    // the node that published
	keyError     = attribute.Key("error.type")
)

func (t *Tracer) start(ctx context.Context, name string, kind trace.SpanKind, about ...attribute.KeyValue) (context.Context, trace.Span) {
	return t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(append(about, t.node)...))
}

// Receive implements socketio.Tracer. A handler's error for the client is no
// failure of ours, and what it says may be of what the client said.
func (t *Tracer) Receive(ctx context.Context, s *socketio.Socket, event string) (context.Context, func(error)) {
	ctx, span := t.start(ofClient(ctx, s.Handshake().Header), "receive "+event, trace.SpanKindServer,
		keyNamespace.String(s.Namespace().Name()), keyEvent.String(event))
	return ctx, func(err error) {
		if public, ok := errors.AsType[*socketio.Error](err); ok {
			span.SetAttributes(keyError.String(public.Code))
		} else if err != nil {
			span.SetStatus(codes.Error, "handler failed")
		}
		span.End()
	}
}

// Inject implements socketio.Tracer.
func (t *Tracer) Inject(ctx context.Context) string { return pack(ctx) }

// Emit implements socketio.Tracer.
func (t *Tracer) Emit(e socketio.Emission) (string, func(error)) {
	ctx, span := t.start(unpack(e.Trace, false), "emit", trace.SpanKindInternal,
		keyNamespace.String(e.Namespace), keyEvent.String(e.Event), keyRooms.Int(len(e.Target.Rooms)))
	return pack(ctx), func(err error) { end(span, err) }
}

// Hooks are those of the adapter that carries the traces.
func (t *Tracer) Hooks() adapter.Hooks {
	return adapter.Hooks{Publish: t.publish, Deliver: t.deliver}
}

func (t *Tracer) publish(p adapter.Passage) (string, func(error)) {
	ctx, span := t.start(unpack(p.Trace, false), "publish", trace.SpanKindProducer,
		keyNamespace.String(p.Namespace), keyRooms.Int(len(p.Target.Rooms)))
	return pack(ctx), func(err error) { end(span, err) }
}

func (t *Tracer) deliver(p adapter.Passage) func(int) {
	kind, about := trace.SpanKindInternal, []attribute.KeyValue{
		keyNamespace.String(p.Namespace), keyRooms.Int(len(p.Target.Rooms)),
	}
	remote := p.From != ""
	if remote {
		kind, about = trace.SpanKindConsumer, append(about, keyFrom.String(p.From))
	}
	_, span := t.start(unpack(p.Trace, remote), "deliver", kind, about...)
	return func(sockets int) {
		span.SetAttributes(keySockets.Int(sockets))
		span.End()
	}
}

// end ends a span of what the cluster does, whose errors are of the broker, or
// name nodes.
func end(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
