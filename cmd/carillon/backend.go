package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/cmd/carillon/internal/api"
	"github.com/carillonhq/carillon/cmd/carillon/internal/health"
	"github.com/carillonhq/carillon/cmd/carillon/internal/metrics"
	"github.com/carillonhq/carillon/cmd/carillon/internal/webhook"
	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/socketio"
)

// backend is what those who run the server have of it: the HTTP API, metrics,
// health, and its end.
type backend struct {
	cfg     Config
	io      *socketio.Server
	bus     *broker.Bus
	service *service
	metrics *metrics.Metrics
	reloads *reloader
	logger  *slog.Logger

	api      *api.API // nil: off
	draining atomic.Bool
	frozen   atomic.Bool // this node does not hear itself through the broker
	unwatch  func()
}

// open opens all addresses, of which that for clients is listened on.
func (b *backend) open(ctx context.Context, forClients net.Listener) (*doors, error) {
	b.unwatch = b.bus.Watch(func(e broker.Event) {
		switch e.Kind {
		case broker.Frozen:
			b.frozen.Store(true)
		case broker.Thawed:
			b.frozen.Store(false)
		}
	})
	ready := b.checks()
	b.metrics.Watch(metrics.Node{
		Connections: func() (websocket, polling int) {
			total, polling := b.io.Sessions(), b.io.PollingSessions()
			return max(0, total-polling), polling // counted one after the other
		},
		Buffered: b.io.Buffered,
		Users:    func() int { return len(b.service.users.Users()) },
		Members:  func() int { return len(b.bus.Members()) },
		State:    b.bus.State,
		Ready:    func() bool { return ready.Report().Ready },
	})

	d := newDoors(b.logger)
	var scraped, back http.Handler
	if b.cfg.Metrics.Enabled {
		scraped = b.metrics.Handler()
	}
	if len(b.cfg.API.Keys) > 0 {
		keys := api.NewKeys(b.cfg.API.Keys)
		b.reloads.takes(func(cfg Config) error {
			keys.Set(cfg.API.Keys)
			return nil
		}, "api.keys")
		b.api = newAPI(b.cfg.API, keys, b.io, b.bus, b.service, api.Options{
			Draining: b.draining.Load,
			Logger:   b.logger,
			Hooks:    api.Hooks{Served: b.metrics.API()},
		})
		back = b.api
	}
	if addr := b.cfg.Metrics.Listen; addr != "" && scraped != nil {
		mux := http.NewServeMux()
		addHealth(mux, ready)
		mux.Handle("/metrics", scraped)
		if err := d.listen(ctx, "metrics", addr, mux); err != nil {
			return nil, errors.Join(err, forClients.Close(), d.close())
		}
		scraped = nil
	}
	if addr := b.cfg.API.Listen; addr != "" && back != nil {
		if err := d.listen(ctx, "the API", addr, withAPI(http.NotFoundHandler(), back)); err != nil {
			return nil, errors.Join(err, forClients.Close(), d.close())
		}
		back = nil
	}
	d.serve(forClients, clients(b.cfg.Server, b.io, ready, scraped, back))
	return d, nil
}

func (b *backend) close() {
	b.unwatch()
	if b.api != nil {
		b.api.Close()
	}
}

// checks are what a node needs in order to be sent clients.
func (b *backend) checks() health.Checks {
	return health.Checks{
		{Name: "draining", Reason: func() string {
			if b.draining.Load() {
				return "this node is about to stop"
			}
			return ""
		}},
		{Name: "broker", Reason: func() string {
			switch b.bus.State() {
			case broker.Up:
				return ""
			case broker.Connecting:
				return "not reached yet: this node's clients are by themselves"
			case broker.Down:
				return "lost: messages for other nodes wait"
			case broker.Degraded:
				return "stays away: this node's clients are by themselves"
			}
			return "closed"
		}},
		{Name: "presence", Reason: func() string {
			if b.frozen.Load() {
				return "this node does not hear itself through the broker: what it knows of other nodes' users may be old"
			}
			return ""
		}},
	}
}

// drain makes the clients move to other nodes, while this one still works.
func (b *backend) drain(ctx context.Context) {
	b.draining.Store(true)
	began := time.Now()
	moved := b.io.Sessions()
	d := b.cfg.Server.Drain
	b.logger.Info("draining", "clients", moved, "delay", d.Delay.String(), "period", d.Period.String())
	time.Sleep(d.Delay) // a second signal ends the process
	_ = b.io.Drain(ctx, d.Period)
	b.logger.Info("clients told to move", "took", time.Since(began).Round(time.Millisecond).String())
}

// teller is what tells a back end of events; without one it does nothing.
type teller struct {
	cfg    Config
	sender *webhook.Sender
	events *events
	logger *slog.Logger
}

// tell begins to tell a back end of events, if there is one.
func tell(cfg Config, io *socketio.Server, bus *broker.Bus, users *presence.Tracker, m *metrics.Metrics, logger *slog.Logger) *teller {
	t := &teller{cfg: cfg, logger: logger}
	if cfg.Webhooks.URL == "" {
		return t
	}
	var queued func() int
	hooks := m.Webhooks(func() int { return queued() })
	t.sender = webhook.New(webhook.Options{
		URL:        cfg.Webhooks.URL,
		Secret:     cfg.Webhooks.Secret,
		Node:       cfg.Server.Node,
		BatchSize:  cfg.Webhooks.BatchSize,
		BatchDelay: cfg.Webhooks.BatchDelay,
		Queue:      cfg.Webhooks.Queue,
		Timeout:    cfg.Webhooks.Timeout,
		Retries:    cfg.Webhooks.Retries,
		Logger:     logger,
		Hooks:      hooks,
	})
	queued = t.sender.Queued
	t.events = tellOf(cfg.Webhooks, io.Of("/"), bus, users, t.sender.Send)
	return t
}

func (t *teller) watch(io *socketio.Server) {
	if t.events != nil {
		t.events.watch(io.Of("/"))
	}
}

// close tells what waits, within the time for an orderly end. That the back end
// does not take it is no failure of this process.
func (t *teller) close() {
	if t.sender == nil {
		return
	}
	t.events.Close()
	ctx, cancel := context.WithTimeout(context.Background(), t.cfg.Server.ShutdownTimeout)
	defer cancel()
	if err := t.sender.Close(ctx); err != nil {
		t.logger.Warn("the back end was not told all", "err", err)
	}
}
