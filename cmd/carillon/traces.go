package main

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/cmd/carillon/internal/trace"
	"github.com/carillonhq/carillon/transport/socketio"
)

// traces are the tracer of the server, or none.
type traces struct{ tracer *trace.Tracer }

// openTraces begins to export if cfg says so. node is this node's name.
func openTraces(ctx context.Context, cfg Traces, node string, logger *slog.Logger) (traces, error) {
	if disabled, _ := strconv.ParseBool(os.Getenv("OTEL_SDK_DISABLED")); disabled || !cfg.Enabled {
		return traces{}, nil
	}
	var version string
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
	}
	tracer, err := trace.Open(ctx, trace.Config{
		Endpoint: cfg.Endpoint,
		Sample:   cfg.Sample,
		Service:  cfg.ServiceName,
		Version:  version,
		Node:     node,
		Logger:   logger,
	})
	return traces{tracer}, err
}

// hooks adds the tracer's to those of the adapter.
func (t traces) hooks(h adapter.Hooks) adapter.Hooks {
	if t.tracer != nil {
		own := t.tracer.Hooks()
		h.Publish, h.Deliver = own.Publish, own.Deliver
	}
	return h
}

// follow has the tracer see the events of a server.
func (t traces) follow(opts *socketio.Options) {
	if t.tracer != nil {
		opts.Tracer = t.tracer
	}
}

// flushTimeout is for the last spans where nothing else bounds it.
const flushTimeout = time.Second

// spare returns a ctx that ends before the deadline of ctx, which leaves close
// a quarter of the time, at most flushTimeout.
func (t traces) spare(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if t.tracer == nil || !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(time.Until(deadline)/4, flushTimeout)))
}

// close exports what is left, until ctx is done.
func (t traces) close(ctx context.Context) {
	if t.tracer != nil {
		t.tracer.Close(ctx)
	}
}

// abandon is close for an end that is not orderly; after close it does nothing.
func (t traces) abandon() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	t.close(ctx)
}
