package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/cmd/carillon/internal/edge"
	"github.com/carillonhq/carillon/cmd/carillon/internal/metrics"
	"github.com/carillonhq/carillon/cmd/carillon/internal/webhook"
	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/socketio"
)

// events tells a back end what happens: what clients of this node do, and, as
// one of all nodes, which users come and go. The zero value does nothing.
type events struct {
	wants   map[string]bool
	clients map[string]bool // names of clients' events
	timeout time.Duration   // of the end
	sender  *webhook.Sender // nil: there is no back end
	edges   *edge.Teller    // nil: nobody wants to know who comes and goes
	logger  *slog.Logger
}

// newEvents begins to tell a back end, if there is one. It has to precede the
// first client.
func newEvents(cfg Config, bus *broker.Bus, users *presence.Tracker, m *metrics.Metrics, logger *slog.Logger) *events {
	e := &events{wants: set(cfg.Webhooks.Events), clients: set(cfg.Webhooks.ClientEvents), timeout: cfg.Server.ShutdownTimeout, logger: logger}
	if cfg.Webhooks.URL == "" {
		return e
	}
	var queued func() int
	hooks := m.Webhooks(func() int { return queued() })
	e.sender = webhook.New(webhook.Options{
		URL:        cfg.Webhooks.URL,
		Secret:     cfg.Webhooks.Secret,
		Node:       bus.Self().Name,
		BatchSize:  cfg.Webhooks.BatchSize,
		BatchDelay: cfg.Webhooks.BatchDelay,
		Queue:      cfg.Webhooks.Queue,
		Timeout:    cfg.Webhooks.Timeout,
		Retries:    cfg.Webhooks.Retries,
		Settled:    e.settled,
		Logger:     logger,
		Hooks:      hooks,
	})
	queued = e.sender.Queued
	if e.wants[userOnline] || e.wants[userOffline] {
		e.edges = edge.New(bus, users, edge.Options{
			Online: e.wants[userOnline], Offline: e.wants[userOffline], Send: e.edge, Logger: logger,
		})
	}
	return e
}

// The types of events.
const (
	userOnline         = "user.online"
	userOffline        = "user.offline"
	socketConnected    = "socket.connected"
	socketDisconnected = "socket.disconnected"
	clientEvent        = "client.event"
)

func set(names []string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, n := range names {
		s[n] = true
	}
	return s
}

// serve has the sockets of a namespace, or of all that a parent makes, told of.
// It follows all else that is registered there: of what a middleware refuses
// nothing is told.
func (e *events) serve(n namespace) {
	if e.sender == nil {
		return
	}
	if e.wants[socketConnected] {
		n.OnConnect(e.connected)
	}
	if e.wants[socketDisconnected] {
		n.OnDisconnect(e.disconnected)
	}
	if len(e.clients) == 0 {
		return
	}
	n.UseEvent(e.clientEvent)
	for name := range e.clients {
		if !n.Handles(name) {
			n.Handle(name, func(_ context.Context, _ *socketio.Socket, ev *socketio.Event) error {
				return ev.Ack(struct {
					OK bool `json:"ok"`
				}{true})
			})
		}
	}
}

// of is an event of a socket.
func of(s *socketio.Socket, kind string) webhook.Event {
	return webhook.Event{Type: kind, User: userOf(s), Socket: s.ID(), Namespace: s.Namespace().Name()}
}

func (e *events) connected(_ context.Context, s *socketio.Socket) {
	e.sender.Send(of(s, socketConnected)) // what is dropped is counted
}

func (e *events) disconnected(_ context.Context, s *socketio.Socket, reason socketio.Reason) {
	told := of(s, socketDisconnected)
	told.Reason = string(reason)
	e.sender.Send(told)
}

// clientEvent is a middleware behind all others.
func (e *events) clientEvent(_ context.Context, s *socketio.Socket, ev *socketio.Event) error {
	if !e.clients[ev.Name] {
		return nil
	}
	told := of(s, clientEvent)
	told.Event = ev.Name
	for _, arg := range ev.Args {
		text, err := json.Marshal(arg)
		if err != nil {
			return socketio.Errorf("invalid", "%s: an argument cannot be passed on", ev.Name)
		}
		told.Args = append(told.Args, text)
	}
	if !e.sender.Send(told) {
		return socketio.Errorf("unavailable", "too much waits for the back end")
	}
	return nil
}

// edge tells of a user who comes or goes.
func (e *events) edge(of edge.Edge) bool {
	kind := userOffline
	if of.Online {
		kind = userOnline
	}
	return e.sender.Send(webhook.Event{Type: kind, User: of.User})
}

// settled follows events that nobody has to tell any more.
func (e *events) settled(told []webhook.Event) {
	var edges []edge.Edge
	for _, ev := range told {
		if ev.Type == userOnline || ev.Type == userOffline {
			edges = append(edges, edge.Edge{User: ev.User, Online: ev.Type == userOnline})
		}
	}
	if e.edges != nil {
		e.edges.Settled(edges)
	}
}

// close tells what waits, within the time for an orderly end. That the back end
// does not take it is no failure of this process.
func (e *events) close() {
	if e.edges != nil {
		e.edges.Close()
	}
	if e.sender == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), e.timeout)
	defer cancel()
	if err := e.sender.Close(ctx); err != nil {
		e.logger.Warn("the back end was not told all", "err", err)
	}
}
