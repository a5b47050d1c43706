package socketio_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// Close ends all that waits, and leaves nothing behind.
func TestCloseEndsAll(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("", func(t *testing.T) {
		asking := make(chan context.Context, 1)
		failed := make(chan error, 2)
		io, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
			n := io.Of("/")
			io.OfFunc(func(ctx context.Context, _ string, _ *socketio.Handshake) bool {
				asking <- ctx
				<-ctx.Done() // what a slow database does
				return true
			})
			n.Handle("ask one", func(ctx context.Context, s *socketio.Socket, _ *socketio.Event) error {
				_, err := s.EmitWithAck(ctx, "ask")
				failed <- err
				return nil
			})
		})
		c := socketiotest.Dial(t, url)
		c.Join("")
		go func() {
			_, err := io.Of("/").EmitWithAck(context.Background(), "ask")
			failed <- err
		}()
		c.Want(`420["ask"]`)
		c.Send(`42["ask one"]`)
		c.Want(`421["ask"]`)
		c.Send("40/slow,")
		within(t, asking, "call of the namespace function")
		if err := io.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			err := within(t, failed, "end of a wait")
			if !errors.Is(err, socketio.ErrDisconnected) && !errors.Is(err, adapter.ErrGone) {
				t.Errorf("got %v", err)
			}
		}
		if err := io.Close(); err != nil {
			t.Error(err)
		}
	})
	http.DefaultClient.CloseIdleConnections()
	eventually(t, "all goroutines gone", func() bool { return runtime.NumGoroutine() <= before })
}

// A volatile event needs a client that is ready: over polling, a poll that
// waits.
func TestVolatileOverPolling(t *testing.T) {
	gone := make(chan struct{}, 1)
	_, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
		n := io.Of("/")
		n.Handle("go", func(_ context.Context, s *socketio.Socket, _ *socketio.Event) error {
			sent, err := s.EmitVolatile("volatile")
			s.Emit("sent", sent, err == nil)
			n.Volatile().Emit("volatile")
			select {
			case gone <- struct{}{}:
			default:
			}
			return nil
		})
	})
	base := url + "/socket.io/?EIO=4&transport=polling"
	open := request(t, "GET", base, "")
	sid := open[len(`0{"sid":"`):]
	base += "&sid=" + sid[:strings.IndexByte(sid, '"')]
	if got := request(t, "POST", base, "40"); got != "ok" {
		t.Fatalf("got %q", got)
	}
	if got := request(t, "GET", base, ""); !strings.HasPrefix(got, `40{"sid":`) {
		t.Fatalf("got %q", got)
	}
	request(t, "POST", base, `42["go"]`)
	within(t, gone, "handler") // else a poll comes in its midst
	if got := request(t, "GET", base, ""); got != `42["sent",false,true]` {
		t.Errorf("no poll waited, but got %q", got)
	}
	poll := make(chan string, 1)
	go func() { poll <- request(t, "GET", base, "") }()
	for got := ""; !strings.HasPrefix(got, `42["volatile"]`); { // until the poll was there first
		request(t, "POST", base, `42["go"]`)
		got = within(t, poll, "poll")
		go func() { poll <- request(t, "GET", base, "") }()
	}
	request(t, "POST", base, "41")
	request(t, "POST", base, "1") // closes
	within(t, poll, "poll")
}

func request(t *testing.T, method, url, body string) string {
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return ""
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}
