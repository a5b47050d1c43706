package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/cmd/carillon/internal/api"
	"github.com/carillonhq/carillon/cmd/carillon/internal/health"
	"github.com/carillonhq/carillon/cmd/carillon/internal/metrics"
	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/socketio"
)

// backend is what those who run the server have of it: the HTTP API, metrics,
// health, and its end.
type backend struct {
	cfg     Config
	io      *socketio.Server
	bus     *broker.Bus
	cluster *adapter.Cluster
	users   *presence.Tracker
	service *service
	gate    *gate
	metrics *metrics.Metrics
	reloads *reloader
	logger  *slog.Logger

	api      *api.API // nil: off
	draining atomic.Bool
}

// open opens all addresses, of which that for clients is listened on.
func (b *backend) open(ctx context.Context, forClients net.Listener) (*doors, error) {
	ready := b.checks()
	b.metrics.Watch(metrics.Node{
		Connections: func() (websocket, polling int) {
			total, polling := b.io.Sessions(), b.io.PollingSessions()
			return max(0, total-polling), polling // counted one after the other
		},
		Pipes:    b.io.Pipes,
		Buffered: b.io.Buffered,
		Recovery: b.io.RecoveryStats,
		Kept:     b.cluster.KeepStats,
		Users: func() (users, devices int) {
			c := b.users.Counts()
			return c.Users, c.Devices
		},
		Members: func() int { return len(b.bus.Members()) },
		State:   b.bus.State,
		Ready:   func() bool { return ready.Report().Ready },
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
		b.api = newAPI(b.cfg.API, keys, b.io, b.bus, b.users, b.service, api.Options{
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
	server := b.gate.server(clients(b.cfg.Server, b.gate, b.io, ready, scraped, back))
	d.run(server, func() error { return b.gate.serve(server, forClients) })
	return d, nil
}

func (b *backend) close() {
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
			select {
			case <-b.users.Ready():
			default:
				return "this node has just started: it does not know yet who is online on other nodes"
			}
			if b.users.State() == presence.CutOff {
				return "cut off: this node does not hear itself through the broker, so what it knows of other nodes' users is old"
			}
			return ""
		}, Note: func() string {
			// So it is on all nodes: with this for a reason, one node that starts
			// would take all others out of a balancer.
			if b.users.State() == presence.Probation {
				return "on probation: a node has not told yet which users it holds, so some are missing"
			}
			return ""
		}},
	}
}
