package trace

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// The two headers of W3C Trace Context, and how much of the second has to be
// passed on at least (section 3.3.1.5): more is dropped.
const (
	traceparent = "traceparent"
	tracestate  = "tracestate"
	maxState    = 512
)

// carried is a trace as it travels between nodes: the values of both headers,
// the second behind a space and only if there is one.
type carried struct{ parent, state string }

var _ propagation.TextMapCarrier = (*carried)(nil)

// Get implements propagation.TextMapCarrier.
func (c *carried) Get(key string) string {
	switch key {
	case traceparent:
		return c.parent
	case tracestate:
		return c.state
	}
	return ""
}

// Set implements propagation.TextMapCarrier.
func (c *carried) Set(key, value string) {
	switch key {
	case traceparent:
		c.parent = value
	case tracestate:
		c.state = value
	}
}

// Keys implements propagation.TextMapCarrier.
func (c *carried) Keys() []string { return []string{traceparent, tracestate} }

// pack returns the trace that ctx is part of, or nothing if it is not recorded.
func pack(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	var c carried
	propagation.TraceContext{}.Inject(ctx, &c)
	if c.state == "" {
		return c.parent
	}
	return c.parent + " " + c.state
}

// unpack returns a context that is part of a packed trace; remote says that
// another node packed it.
func unpack(packed string, remote bool) context.Context {
	var c carried
	c.parent, c.state, _ = strings.Cut(packed, " ")
	ctx := propagation.TraceContext{}.Extract(context.Background(), &c)
	return trace.ContextWithSpanContext(ctx, trace.SpanContextFromContext(ctx).WithRemote(remote))
}

// ofClient makes ctx part of the trace with which a client connected, if any.
func ofClient(ctx context.Context, header http.Header) context.Context {
	c := carried{parent: header.Get(traceparent), state: strings.Join(header.Values(tracestate), ",")}
	if c.parent == "" {
		return ctx
	}
	if len(c.state) > maxState {
		c.state = ""
	}
	return propagation.TraceContext{}.Extract(ctx, &c)
}
