package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/kafka"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/broker/rabbitmq"
	driver "github.com/carillonhq/carillon/broker/redis"
	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/socketio"
)

var quiet = slog.New(slog.DiscardHandler)

// TestClusterAPI has the JavaScript client see all of Socket.IO's cluster API,
// on three nodes joined by each broker.
func TestClusterAPI(t *testing.T) {
	hub := memory.NewHub()
	for _, b := range []struct {
		name, variable string
		open           func(ctx context.Context, address string) (broker.Driver, error)
	}{
		{"memory", "", func(ctx context.Context, _ string) (broker.Driver, error) { return hub.Open(ctx) }},
		{"redis", "CARILLON_TEST_REDIS", func(ctx context.Context, address string) (broker.Driver, error) {
			return driver.Open(ctx, driver.Config{URL: address, Logger: quiet})
		}},
		{"rabbitmq", "CARILLON_TEST_RABBITMQ", func(ctx context.Context, address string) (broker.Driver, error) {
			return rabbitmq.Open(ctx, rabbitmq.Config{URL: address, Logger: quiet})
		}},
		{"kafka", "CARILLON_TEST_KAFKA", func(ctx context.Context, address string) (broker.Driver, error) {
			return kafka.Open(ctx, kafka.Config{Brokers: strings.Split(address, ","), Topic: "carillon-e2e", Retention: time.Minute, Logger: quiet})
		}},
	} {
		t.Run(b.name, func(t *testing.T) {
			var address string
			if b.variable != "" {
				address = brokertest.Env(t, b.variable)
			}
			urls := serveClusterAPI(t, func(ctx context.Context) (broker.Driver, error) { return b.open(ctx, address) })
			runScript(t, nil, "adapter.mjs", urls...)
		})
	}
}

// serveClusterAPI serves three nodes whose clients may have them do things.
func serveClusterAPI(t *testing.T, open func(context.Context) (broker.Driver, error)) (urls []string) {
	t.Helper()
	name := "e2e-" + strings.ToLower(rand.Text())
	var clusters []*adapter.Cluster
	for i := range 3 {
		bus, err := broker.Open(t.Context(), open, broker.Options{Node: fmt.Sprint("n", i), Cluster: name, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { bus.Close() })
		cluster := adapter.NewCluster(bus, adapter.Options{Logger: quiet})
		io := socketio.New(socketio.Options{
			Adapter: cluster.Namespace,
			Engine:  engineio.Options{MaxQueue: 16 << 20}, // a client of 5 MB may be sent more meanwhile
			Logger:  quiet,
		})
		for _, namespace := range []string{"/", "/other"} {
			(&puppet{io: io, index: i}).attach(io.Of(namespace))
		}
		server := httptest.NewServer(io)
		t.Cleanup(func() {
			io.Close()
			server.Close()
		})
		clusters, urls = append(clusters, cluster), append(urls, server.URL)
	}
	ctx, cancel := context.WithTimeout(t.Context(), brokertest.Patience)
	defer cancel()
	for _, c := range clusters {
		if err := c.AwaitNodes(ctx, 2); err != nil {
			t.Fatal(err)
		}
	}
	return urls
}

// A puppet is a node that does what its clients want.
type puppet struct {
	io    *socketio.Server
	index int
}

func (p *puppet) attach(n *socketio.Namespace) {
	n.Use(func(_ context.Context, s *socketio.Socket) error {
		var auth struct {
			Rooms []string
			Data  any
		}
		if err := s.Handshake().Auth.Decode(&auth); err != nil {
			return err
		}
		s.Join(auth.Rooms...)
		s.SetData(auth.Data)
		return nil
	})
	socketio.Reply(n, "do", p.do)
	n.HandleServer("heard", func(_ context.Context, e *socketio.ServerEvent) error {
		var number int
		var text string
		var blob []byte
		if err := e.Args.Bind(&number, &text, &blob); err != nil || number != 1 || text != "two" || !bytes.Equal(blob, []byte{3}) {
			return fmt.Errorf("got %v, %q, %v: %w", number, text, blob, err)
		}
		return n.Local().Emit("server heard")
	})
	n.HandleServer("who", func(_ context.Context, e *socketio.ServerEvent) error {
		return errors.Join(e.Ack(fmt.Sprint("I am n", p.index), []byte{byte(p.index)}), e.Ack("again"))
	})
	n.HandleServer("not n2", func(_ context.Context, e *socketio.ServerEvent) error {
		if p.index == 2 {
			e.Defer() // and never answers
		}
		return nil
	})
}

// A wish is what a client wants done, to which sockets.
type wish struct {
	Op              string
	Namespace       string
	Rooms, Except   []string
	Local, Volatile bool
	Event           string
	Args            []socketio.Raw
	To              []string // rooms
	Timeout         int      // in milliseconds
	Size            int
}

// A report is what came of it.
type report struct {
	Answers []socketio.Args `json:"answers,omitzero"`
	Servers []serverReport  `json:"servers,omitzero"`
	Sockets []socketReport  `json:"sockets,omitzero"`
	Rooms   map[string]int  `json:"rooms,omitempty"`
	Count   int             `json:"count,omitempty"`
	Missing []missingReport `json:"missing,omitempty"`
	Error   string          `json:"error,omitempty"`
}

type serverReport struct {
	Node string        `json:"node"`
	Args socketio.Args `json:"args"`
}

type socketReport struct {
	ID        string   `json:"id"`
	Node      string   `json:"node"`
	Rooms     []string `json:"rooms"`
	Handshake any      `json:"handshake"`
	Data      any      `json:"data"`
}

type missingReport struct {
	Node    string `json:"node"`
	Sockets int    `json:"sockets"`
}

func (p *puppet) do(ctx context.Context, s *socketio.Socket, w wish) (report, error) {
	n := s.Namespace()
	if w.Namespace != "" {
		n = p.io.Of(w.Namespace)
	}
	e := n.Compress(true).To(w.Rooms...).Except(w.Except...)
	if w.Local {
		e = e.Local()
	}
	if w.Volatile {
		e = e.Volatile()
	}
	args := make([]any, len(w.Args))
	for i, a := range w.Args {
		args[i] = a
	}
	if w.Timeout == 0 {
		w.Timeout = 9000
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(w.Timeout)*time.Millisecond)
	defer cancel()

	var r report
	var err error
	switch w.Op {
	case "emit":
		err = e.Emit(w.Event, args...)
	case "emit large":
		err = e.Emit(w.Event, bytes.Repeat([]byte("carillon"), w.Size/8))
	case "emit, disconnect":
		err = errors.Join(e.Emit(w.Event, args...), e.DisconnectSockets(false))
	case "join":
		err = e.SocketsJoin(w.To...)
	case "leave":
		err = e.SocketsLeave(w.To...)
	case "join, emit, leave":
		err = errors.Join(e.SocketsJoin(w.To...), n.To(w.To...).Emit(w.Event), e.SocketsLeave(w.To...), n.To(w.To...).Emit("left already"))
	case "ask":
		r.Answers, err = e.EmitWithAck(ctx, w.Event, args...)
	case "ask one":
		var sockets []socketio.RemoteSocket
		if sockets, err = e.FetchSockets(ctx); err == nil && len(sockets) == 1 {
			var answer socketio.Args
			answer, err = sockets[0].EmitWithAck(ctx, w.Event, args...)
			r.Answers = []socketio.Args{answer}
		}
	case "fetch":
		var sockets []socketio.RemoteSocket
		sockets, err = e.FetchSockets(ctx)
		r.Sockets = []socketReport{}
		for _, s := range sockets {
			r.Sockets = append(r.Sockets, socketReport{s.ID, s.Node, s.Rooms, s.Handshake, s.Data})
		}
	case "count":
		r.Count, err = e.Count(ctx)
	case "rooms":
		r.Rooms, err = n.AllRooms(ctx)
	case "tell":
		err = n.ServerSideEmit(w.Event, args...)
	case "ask servers":
		var answers []socketio.ServerAnswer
		answers, err = n.ServerSideEmitWithAck(ctx, w.Event, args...)
		for _, a := range answers {
			r.Servers = append(r.Servers, serverReport{a.Node, a.Args})
		}
	default:
		err = fmt.Errorf("nobody can %q", w.Op)
	}
	if partial, ok := errors.AsType[*adapter.PartialError](err); ok {
		for _, m := range partial.Missing {
			r.Missing = append(r.Missing, missingReport{m.Node, m.Sockets})
		}
		r.Error = err.Error()
		err = nil
	}
	return r, err
}
