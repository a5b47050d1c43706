package socketio_test

import (
	"context"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// A client that is made to move has what its handlers still had to say: the
// acknowledgement of one that is at work, and one that was deferred.
func TestDrainAcknowledges(t *testing.T) {
	for _, event := range []string{"slow", "deferred"} {
		t.Run(event, func(t *testing.T) {
			working, goOn := make(chan struct{}), make(chan struct{})
			reason := make(chan socketio.Reason, 1)
			io, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
				n := io.Of("/")
				n.Handle("slow", func(context.Context, *socketio.Socket, *socketio.Event) error {
					close(working)
					<-goOn
					return nil
				})
				n.Handle("deferred", func(_ context.Context, _ *socketio.Socket, e *socketio.Event) error {
					e.Defer()
					go func() { // ends with the test
						close(working)
						<-goOn
						e.Ack()
					}()
					return nil
				})
				n.OnDisconnect(func(_ context.Context, _ *socketio.Socket, r socketio.Reason) { reason <- r })
			})
			c := socketiotest.Dial(t, url)
			c.Join("")
			c.Send(`421["` + event + `"]`)
			<-working
			if err := io.Drain(t.Context(), socketio.DrainOptions{}); err != nil {
				t.Fatal(err)
			}
			c.Send(`422["nothing"]`) // it is still heard
			close(goOn)
			c.Want("431[]")
			c.WantClosed()
			if got := <-reason; got != socketio.ReasonShutdown {
				t.Errorf("reason %q", got)
			}
		})
	}
}

// A handler that does not end holds nobody here for long.
func TestDrainPatience(t *testing.T) {
	working := make(chan struct{})
	io, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
		io.Of("/").Handle("stuck", func(ctx context.Context, _ *socketio.Socket, _ *socketio.Event) error {
			close(working)
			<-ctx.Done()
			return nil
		})
	})
	c := socketiotest.Dial(t, url)
	c.Join("")
	c.Send(`421["stuck"]`)
	<-working
	start := time.Now()
	if err := io.Drain(t.Context(), socketio.DrainOptions{}); err != nil {
		t.Fatal(err)
	}
	c.WantClosed()
	if took := time.Since(start); took < 900*time.Millisecond || took > 8*time.Second {
		t.Errorf("closed after %v, want a second", took)
	}
}
