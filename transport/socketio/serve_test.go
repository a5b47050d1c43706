package socketio_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/socketio"
)

// serve returns a Server with what setup registers, and its address.
func serve(t *testing.T, opts socketio.Options, setup func(io *socketio.Server)) (*socketio.Server, string) {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	io := socketio.New(opts)
	if setup != nil {
		setup(io)
	}
	ts := httptest.NewServer(io)
	t.Cleanup(func() {
		if err := io.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		ts.Close()
	})
	return io, ts.URL
}

// quick is an engine whose timeouts a test can wait for.
func quick() engineio.Options {
	return engineio.Options{PingInterval: 50 * time.Millisecond, PingTimeout: 100 * time.Millisecond}
}

// serveNodes returns the Servers of a cluster, whose buses know each other.
func serveNodes(t *testing.T, n int, opts socketio.Options, setup func(io *socketio.Server)) (ios []*socketio.Server, urls []string, buses []*broker.Bus) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	hub := memory.NewHub()
	up := make(chan struct{}, n*n)
	for i := range n {
		b, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return hub.Driver(), nil },
			broker.Options{Node: fmt.Sprint("n", i), Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		b.Watch(func(e broker.Event) {
			if e.Kind == broker.NodeUp {
				up <- struct{}{}
			}
		})
		opts.Adapter = adapter.NewCluster(b, adapter.Options{Logger: quiet}).Namespace
		io, url := serve(t, opts, setup)
		ios, urls, buses = append(ios, io), append(urls, url), append(buses, b)
	}
	for _, b := range buses {
		for len(b.Members()) < n-1 {
			<-up
		}
	}
	return ios, urls, buses
}

// within fails the test if ch brings nothing soon.
func within[T any](t *testing.T, ch <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(10 * time.Second):
		t.Fatalf("no %s", what)
	}
	return v
}

// eventually fails the test if ok does not become true soon.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("not yet: %s", what)
		}
	}
}
