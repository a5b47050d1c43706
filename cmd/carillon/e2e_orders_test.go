package main_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/kafka"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/broker/rabbitmq"
	redisdriver "github.com/carillonhq/carillon/broker/redis"
	"github.com/carillonhq/carillon/transport/peers"
	"github.com/carillonhq/carillon/transport/socketio"
)

// An order is what a script has the server do.
type order struct {
	Do        string
	Namespace string
	ID        string // of the socket concerned
	Room      string
	Except    string
	Event     string
	Args      []socketio.Raw
}

// told is what has happened to a socket.
type told struct {
	What      string `json:"what"`
	ID        string `json:"id"`
	Recovered bool   `json:"recovered"`
}

// orders are servers, in this process, that do what a script tells them to.
type orders struct {
	nodes []*socketio.Server

	mu      sync.Mutex // guards all below
	log     []told
	sockets map[string]*socketio.Socket // the first of each id: with recovery, an old one
}

func (o *orders) tell(what string, s *socketio.Socket) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.log = append(o.log, told{what, s.ID(), s.Recovered()})
	if o.sockets[s.ID()] == nil {
		o.sockets[s.ID()] = s
	}
}

func (o *orders) obey(ctx context.Context, _ *socketio.Socket, c order) (any, error) {
	n := o.nodes[0].Of(c.Namespace)
	to := n.To()
	if c.ID != "" {
		to = to.To(c.ID)
	}
	if c.Room != "" {
		to = to.To(c.Room)
	}
	if c.Except != "" {
		to = to.Except(c.Except)
	}
	args := make([]any, len(c.Args))
	for i, a := range c.Args {
		args[i] = a
	}
	o.mu.Lock()
	old := o.sockets[c.ID]
	o.mu.Unlock()
	switch c.Do {
	case "emit":
		return nil, to.Emit(c.Event, args...)
	case "volatile":
		return nil, to.Volatile().Emit(c.Event, args...)
	case "direct": // by the Socket of the beginning
		return nil, old.Emit(c.Event, args...)
	case "join":
		return nil, n.To(c.ID).SocketsJoin(c.Room)
	case "leave":
		old.Leave(c.Room)
		return nil, nil
	case "data":
		old.SetData(c.Args[0])
		return nil, nil
	case "kick":
		return nil, n.To(c.ID).DisconnectSockets(true)
	case "ask":
		ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		answers, err := to.EmitWithAck(ctx, c.Event, args...)
		return map[string]any{"answers": len(answers), "missing": err != nil}, nil
	case "sockets":
		found, err := n.To(c.ID).FetchSockets(ctx)
		return found, err
	case "log":
		o.mu.Lock()
		defer o.mu.Unlock()
		log := o.log
		o.log = nil
		return log, nil
	}
	return nil, fmt.Errorf("unknown order %q", c.Do)
}

// newOrders returns as many servers, which one link joins each, and the
// addresses of the clients' door, which leads to each in turn, and of the first
// server.
func newOrders(t *testing.T, opts socketio.Options, links ...func(context.Context) (broker.Driver, error)) (o *orders, door, first string) {
	t.Helper()
	o = &orders{sockets: make(map[string]*socketio.Socket)}
	if len(links) == 0 {
		first = o.serve(t, opts)
		return o, first, first
	}
	var instances []*instance
	cluster := "orders-" + strings.ToLower(rand.Text())
	for i, link := range links {
		bus, err := broker.Open(t.Context(), link, broker.Options{
			Node: "node-" + string(rune('a'+i)), Cluster: cluster, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		})
		rooms := adapter.NewCluster(bus, adapter.Options{Logger: slog.New(slog.DiscardHandler)})
		opts.Adapter = rooms.Namespace
		opts.Engine.Peers = peers.Over(bus)
		instances = append(instances, &instance{addr: o.serve(t, opts)})
		eventually(t, "the nodes do not see each other", func() bool { return len(bus.Members()) >= i })
	}
	s := newSpread(t, inTurns, instances...)
	return o, s.cuts.Addr().String(), instances[0].addr
}

// serve adds a server and returns its address.
func (o *orders) serve(t *testing.T, opts socketio.Options) string {
	opts.Logger = slog.New(slog.DiscardHandler)
	io := socketio.New(opts)
	for _, name := range []string{"/", "/a"} {
		n := io.Of(name)
		n.OnConnect(func(_ context.Context, s *socketio.Socket) { o.tell("connect", s) })
		n.OnDisconnect(func(_ context.Context, s *socketio.Socket, why socketio.Reason) { o.tell(string(why), s) })
	}
	socketio.Reply(io.Of("/control"), "do", o.obey)
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	mux.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	web := httptest.NewServer(mux)
	t.Cleanup(func() {
		if err := io.Close(); err != nil {
			t.Error(err)
		}
		web.Close()
	})
	o.nodes = append(o.nodes, io)
	return strings.TrimPrefix(web.URL, "http://")
}

// linksOver returns what joins so many servers in this process.
func linksOver(t *testing.T, name string, n int) []func(context.Context) (broker.Driver, error) {
	t.Helper()
	var link func(context.Context) (broker.Driver, error)
	switch name {
	case "memory":
		hub := memory.NewHub()
		link = func(context.Context) (broker.Driver, error) { return hub.Driver(), nil }
	case "redis":
		cfg := redisdriver.Config{URL: testRedis(t)}
		link = func(ctx context.Context) (broker.Driver, error) { return redisdriver.Open(ctx, cfg) }
	case "rabbitmq":
		cfg := rabbitmq.Config{URL: brokertest.Env(t, "CARILLON_TEST_RABBITMQ")}
		link = func(ctx context.Context) (broker.Driver, error) { return rabbitmq.Open(ctx, cfg) }
	case "kafka":
		cfg := kafka.Config{
			Brokers: strings.Split(brokertest.Env(t, "CARILLON_TEST_KAFKA"), ","),
			Topic:   "carillon-e2e", Retention: time.Minute,
		}
		link = func(ctx context.Context) (broker.Driver, error) { return kafka.Open(ctx, cfg) }
	}
	return slices.Repeat([]func(context.Context) (broker.Driver, error){link}, n)
}
