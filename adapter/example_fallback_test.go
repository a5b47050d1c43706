package adapter_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// openAdapter returns the rooms of "/", which span all nodes if a broker is
// configured. Nothing more is needed to do without the broker while it is away:
// a Bus that can't reach it warns, serves this node alone, and joins the others
// when it can.
func openAdapter(ctx context.Context, open func(context.Context) (broker.Driver, error), logger *slog.Logger) (adapter.Adapter, func() error, error) {
	if open == nil {
		logger.Warn("no broker is configured, this node is alone")
		local := adapter.NewLocal()
		return local, local.Close, nil
	}
	bus, err := broker.Open(ctx, open, broker.Options{Node: "n1", Logger: logger})
	if err != nil {
		return nil, nil, err // for options that can't work, only
	}
	return adapter.NewCluster(bus, adapter.Options{Logger: logger}).Namespace("/"), bus.Close, nil
}

// An application that serves its clients whether or not the broker is there.
func Example_fallback() {
	logger := warnings()
	alone, stop, err := openAdapter(context.Background(), nil, logger)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	alone.Add(&printer{alone.NewID(), "alice"})
	alone.Broadcast(adapter.Target{}, &adapter.Packet{Data: []byte("a node without a broker")})

	// This broker is started late.
	var started atomic.Bool
	hub := memory.NewHub()
	open := func(ctx context.Context) (broker.Driver, error) {
		if !started.Load() {
			return nil, errors.New("connection refused")
		}
		return hub.Open(ctx)
	}
	rooms, stop, err := openAdapter(context.Background(), open, logger)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	rooms.Add(&printer{rooms.NewID(), "bob"})
	rooms.Broadcast(adapter.Target{}, &adapter.Packet{Data: []byte("a node whose broker is away")})

	started.Store(true)
	defer chatServer(hub)()
	for w := rooms.(adapter.Watcher); w.Alone(); time.Sleep(10 * time.Millisecond) {
	}
	fmt.Println("not alone any more")
	// Output:
	// level=WARN msg="no broker is configured, this node is alone"
	// alice hears a node without a broker
	// level=WARN msg="the broker is unreachable, this node is local-only until it appears" node=n1 err="connection refused"
	// bob hears a node whose broker is away
	// not alone any more
}

// warnings logs warnings to the standard output, without the time.
func warnings() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}
