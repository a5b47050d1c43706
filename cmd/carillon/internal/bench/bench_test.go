package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/bench"
	"github.com/carillonhq/carillon/transport/socketio"
)

// serve is a server that knows the events.
func serve(t *testing.T, change func(*socketio.Namespace)) string {
	t.Helper()
	io := socketio.New(socketio.Options{Logger: slog.New(slog.DiscardHandler)})
	n := io.Of("/")
	type message struct {
		To, Room string
		Data     socketio.Raw
	}
	user := func(s *socketio.Socket) (name string) {
		var auth struct{ User string }
		_ = s.Handshake().Auth.Decode(&auth)
		return auth.User
	}
	n.Use(func(_ context.Context, s *socketio.Socket) error {
		s.Join("user:" + user(s))
		return nil
	})
	n.OnConnect(func(_ context.Context, s *socketio.Socket) {
		_ = n.Emit("presence:online", map[string]string{"user": user(s)})
	})
	socketio.Reply(n, "room:join", func(_ context.Context, s *socketio.Socket, room string) (any, error) {
		s.Join(room)
		return map[string]bool{"ok": true}, nil
	})
	socketio.On(n, "room:message", func(_ context.Context, s *socketio.Socket, m message) error {
		return n.To(m.Room).Emit("room:message", map[string]any{"room": m.Room, "data": m.Data})
	})
	socketio.Reply(n, "message", func(_ context.Context, s *socketio.Socket, m message) (any, error) {
		return map[string]bool{"ok": true}, n.To("user:"+m.To).Emit("message", map[string]any{"data": m.Data})
	})
	if change != nil {
		change(n)
	}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		io.Close()
		server.Close()
	})
	return server.URL
}

// small is a run that takes a moment.
func small(scenario bench.Scenario, url string) bench.Options {
	return bench.Options{
		Scenario: scenario, URLs: []string{url}, Clients: 20, Rooms: 10, Members: 4, InFlight: 5,
		Warmup: 20 * time.Millisecond, Duration: 200 * time.Millisecond, Timeout: 2 * time.Second, PIDs: []int{os.Getpid()},
	}
}

func TestScenarios(t *testing.T) {
	url := serve(t, nil)
	for _, c := range []struct {
		name string
		o    bench.Options
		each int64 // deliveries of a message
	}{
		{"fanout", small(bench.Fanout, url), 20},
		{"rooms", small(bench.Rooms, url), 4},
		{"p2p", small(bench.P2P, url), 1},
		{"presence", small(bench.Presence, url), 20},
	} {
		for _, loop := range []string{"closed", "open"} {
			t.Run(c.name+"/"+loop, func(t *testing.T) {
				o := c.o
				if loop == "open" {
					o.Rate, o.Warmup = 100, -1
				}
				r := run(t, o)
				switch {
				case r.Failed():
					t.Errorf("got errors %v, %d lost", r.Errors, r.Lost)
				case r.Loop != loop || r.Clients != 20:
					t.Errorf("got %s loop, %d clients", r.Loop, r.Clients)
				case r.Completed == 0 || r.Latency == nil || r.Latency.P50 <= 0 || r.Latency.Max < r.Latency.P50:
					t.Errorf("got %d completed, latency %+v", r.Completed, r.Latency)
				case r.Delivered < (r.Completed-5)*c.each || r.PerSecond <= 0:
					t.Errorf("got %d deliveries of %d messages, %v/s", r.Delivered, r.Completed, r.PerSecond)
				case loop == "open" && (r.Sent < 19 || r.Sent > 21):
					t.Errorf("got %d sent, want 20", r.Sent)
				}
			})
		}
	}
}

func TestAcknowledged(t *testing.T) {
	o := small(bench.P2P, serve(t, nil))
	o.Ack = true
	if r := run(t, o); r.Failed() || r.Completed == 0 || r.Delivered == 0 || r.Latency == nil {
		t.Errorf("got %+v", r)
	}
}

func TestConnect(t *testing.T) {
	url := serve(t, nil)
	for _, rate := range []float64{0, 200} {
		o := small(bench.Connect, url)
		o.Rate = rate
		if r := run(t, o); r.Failed() || r.Clients != 20 || r.Latency.Count != 20 || r.PerSecond <= 0 {
			t.Errorf("rate %v: got %+v", rate, r)
		}
	}
}

func TestIdle(t *testing.T) {
	r := run(t, small(bench.Idle, serve(t, nil)))
	if r.Failed() || r.Clients != 20 || len(r.Servers) != 1 || r.Servers[0].RSS == 0 || r.Servers[0].RSSBefore == 0 {
		t.Errorf("got %+v", r)
	}
}

// What goes wrong is counted and named.
func TestErrors(t *testing.T) {
	ctx := t.Context()
	t.Run("nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		_, err = bench.Run(ctx, small(bench.Fanout, "http://"+l.Addr().String()))
		if err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("wrong path", func(t *testing.T) {
		o := small(bench.Fanout, serve(t, nil))
		o.Path = "/elsewhere/"
		_, err := bench.Run(ctx, o)
		if err == nil || !strings.Contains(err.Error(), "HTTP 404") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		var n atomic.Int32
		r := run(t, small(bench.Fanout, serve(t, func(ns *socketio.Namespace) {
			ns.Use(func(context.Context, *socketio.Socket) error {
				if n.Add(1)%4 == 0 {
					return socketio.Errorf("full", "no room")
				}
				return nil
			})
		})))
		if r.Clients != 15 || total(r.Errors, "no room") != 5 || r.Completed == 0 {
			t.Errorf("got %d clients, errors %v, %d completed", r.Clients, r.Errors, r.Completed)
		}
	})
	t.Run("disconnected", func(t *testing.T) {
		var n atomic.Int32
		r := run(t, small(bench.P2P, serve(t, func(ns *socketio.Namespace) {
			ns.OnAny(func(_ context.Context, s *socketio.Socket, _ *socketio.Event) {
				if n.Add(1) == 20 {
					s.Disconnect(true)
				}
			})
		})))
		if total(r.Errors, "disconnected: ") != 1 {
			t.Errorf("got errors %v", r.Errors)
		}
	})
	t.Run("no such process", func(t *testing.T) {
		o := small(bench.Fanout, "http://127.0.0.1:1")
		o.PIDs = []int{1 << 30}
		if _, err := bench.Run(ctx, o); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		o := small(bench.Fanout, serve(t, nil))
		o.Duration = time.Minute
		if _, err := bench.Run(ctx, o); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestOptions(t *testing.T) {
	good := small(bench.Rooms, "http://127.0.0.1:3000")
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for what, change := range map[string]func(*bench.Options){
		"scenario": func(o *bench.Options) { o.Scenario = "storm" },
		"no URL":   func(o *bench.Options) { o.URLs = nil },
		"URL":      func(o *bench.Options) { o.URLs = []string{"127.0.0.1:3000"} },
		"payload":  func(o *bench.Options) { o.Payload = 5 },
		"members":  func(o *bench.Options) { o.Members = 21 },
		"odd":      func(o *bench.Options) { o.Scenario, o.Clients = bench.P2P, 3 },
		"rate":     func(o *bench.Options) { o.Rate = -1 },
		"clients":  func(o *bench.Options) { o.Clients = -1 },
	} {
		o := good
		change(&o)
		if o.Check() == nil {
			t.Errorf("%s: got no error", what)
		}
	}
}

func TestReport(t *testing.T) {
	r := run(t, small(bench.Fanout, serve(t, nil)))
	r.Errors = map[string]int{"disconnected: timeout": 1234}
	var table, text bytes.Buffer
	if err := errors.Join(r.WriteTable(&table), r.WriteJSON(&text)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"20 clients, 5 in flight, 100 bytes each", "p99.9", "server CPU", "1,234 × disconnected: timeout"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &table)
		}
	}
	var back bench.Report
	if err := json.Unmarshal(text.Bytes(), &back); err != nil || back.Delivered != r.Delivered || back.Latency.P99 != r.Latency.P99 {
		t.Errorf("got %v, %+v", err, back)
	}
}

func run(t *testing.T, o bench.Options) *bench.Report {
	t.Helper()
	r, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.WriteTable(io.Discard)
	return r
}

// total sums the errors that have a text in them.
func total(errs map[string]int, text string) (n int) {
	for kind, count := range errs {
		if strings.Contains(kind, text) {
			n += count
		}
	}
	return n
}
