package socketio_test

import (
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

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
