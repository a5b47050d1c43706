package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/kafka"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/broker/rabbitmq"
	"github.com/carillonhq/carillon/broker/redis"
	"github.com/carillonhq/carillon/cmd/carillon/internal/announce"
	"github.com/carillonhq/carillon/cmd/carillon/internal/console"
	"github.com/carillonhq/carillon/cmd/carillon/internal/metrics"
	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/admin"
)

// run serves until ctx ends, then stops within cfg.Server.ShutdownTimeout.
// cfg has passed loadConfig and names its node. What can change while it runs
// asks reloads for it. ready, unless nil, is called once with the address that
// is listened on. The error is nil after an orderly end.
func run(ctx context.Context, cfg Config, logger *slog.Logger, reloads *reloader, ready func(addr string)) (err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Server.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", cfg.Server.Listen, err)
	}
	measured := metrics.New(release(), cfg.Server.Node)
	gate, err := openGate(cfg, measuredGate(measured), logger)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer gate.Close()
	reloads.takes(gate.Reload, gateKeys()...)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	open, err := driver(cfg.Broker, logger)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	meter := new(console.Meter)
	bus, err := openBus(ctx, cfg, open, logger, meter.Broker(measured.Broker(cfg.Server.Node)))
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, bus.Close()) }()
	if cfg.Broker.Reconnect.Then == "exit" {
		defer bus.Watch(func(e broker.Event) {
			if e.Kind == broker.StateChanged && e.State == broker.Degraded {
				stop(fmt.Errorf("broker %s: not reached in %d retries, and broker.reconnect.then is exit",
					cfg.Broker.Driver, cfg.Broker.Reconnect.Retries))
			}
		})()
	}
	users := presenceOptions(cfg, logger)
	users.Hooks = measured.Presence()
	tracker := presence.New(bus, users)
	defer func() { err = errors.Join(err, tracker.Close()) }()
	traces, err := openTraces(ctx, cfg.Traces, bus.Self().Name, logger)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer traces.abandon()
	// Without Locate: a socket is in its user's room before all nodes know of its
	// device, and would miss what they send to the user meanwhile.
	cluster := adapter.NewCluster(bus, adapter.Options{Logger: logger, Hooks: traces.hooks(measured.Adapter())})
	opts := socketOptions(cfg.Server, cluster, logger)
	opts.Hooks, opts.Engine.Hooks = meter.Sockets(measured.Sockets()), measured.Engine()
	traces.follow(&opts)
	gate.guard(&opts.Engine)
	joinPeers(&opts.Engine, cfg, bus)
	opts.Recovery = cfg.Recovery.options()
	io := socketio.New(opts)
	announcing, closeRooms := announceOptions(cfg, bus, logger)
	announcing.Hooks = measured.Announced()
	defer func() { err = errors.Join(err, closeRooms()) }()
	who := announce.New(tracker, bus.Self().Name, announcing)
	defer who.Close()
	told := newEvents(cfg, bus, tracker, measured, logger)
	defer told.close() // after io, of whose end it tells
	service := newService(io, bus, who, gate, told, logger)
	defer service.Close()
	watched := openConsole(bus, io, tracker, meter, logger)
	defer watched.Close()
	if cfg.Server.Page {
		service.serveConsole(watched)
	}
	if cfg.Admin.Enabled {
		a, err := admin.Instrument(io, adminOptions(cfg.Admin, bus.Self().Name, logger))
		if err != nil { // which checks of cfg rule out
			return errors.Join(err, io.Close(), listener.Close())
		}
		defer a.Close() // after io, so that browsers come back to another instance
	}

	b := &backend{cfg: cfg, io: io, bus: bus, cluster: cluster, users: tracker, service: service, gate: gate, metrics: measured, reloads: reloads, logger: logger}
	doors, err := b.open(ctx, listener)
	if err != nil {
		return errors.Join(err, io.Close())
	}
	defer b.close()

	logger.Info("serving", "addr", listener.Addr().String(), "node", bus.Self().Name, "broker", cfg.Broker.Driver)
	if ready != nil {
		ready(listener.Addr().String())
	}
	select {
	case err = <-doors.failed:
		return errors.Join(fmt.Errorf("serve: %w", err), doors.close(), io.Close())
	case <-ctx.Done():
	}
	b.drain(impatience(ctx))
	logger.Info("stopping")
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.Server.ShutdownTimeout)
	defer cancel()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = cause
	}
	draining, cancel := traces.spare(bounded)
	defer cancel()
	err = errors.Join(err, io.Shutdown(draining), doors.shutdown(draining), doors.close())
	traces.close(bounded)
	return err
}

// An openDriver connects to the broker that is configured.
type openDriver = func(context.Context) (broker.Driver, error)

func openBus(ctx context.Context, cfg Config, open openDriver, logger *slog.Logger, hooks broker.Hooks) (*broker.Bus, error) {
	return broker.Open(ctx, open, broker.Options{
		Node:      cfg.Server.Node,
		Cluster:   cfg.Broker.Cluster,
		Heartbeat: cfg.Broker.Heartbeat,
		Buffer:    int(cfg.Broker.Buffer),
		Retry:     cfg.Broker.Reconnect.retry(),
		Logger:    logger,
		Hooks:     hooks,
	})
}

func (r Reconnect) retry() broker.Retry {
	return broker.Retry{Base: r.Base, Max: r.Max, Retries: r.Retries}
}

// driver returns how to open the driver that is configured. It fails for files
// that cannot be used, which no retry would mend.
func driver(cfg Broker, logger *slog.Logger) (openDriver, error) {
	switch cfg.Driver {
	case "redis":
		encryption, err := cfg.Redis.tls()
		if err != nil {
			return nil, err
		}
		redis.LogTo(logger)
		return func(ctx context.Context) (broker.Driver, error) {
			return redis.Open(ctx, redis.Config{
				URL:              cfg.Redis.URL,
				Password:         cfg.Redis.Password,
				Mode:             redis.Mode(cfg.Redis.Mode),
				Addrs:            cfg.Redis.Addrs,
				Master:           cfg.Redis.Sentinel.Master,
				SentinelUser:     cfg.Redis.Sentinel.User,
				SentinelPassword: cfg.Redis.Sentinel.Password,
				TLS:              encryption,
				MaxLen:           cfg.Redis.MaxLen,
				Retry:            cfg.Reconnect.retry(),
				Logger:           logger,
			})
		}, nil
	case "kafka":
		encryption, err := cfg.Kafka.TLS.config()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (broker.Driver, error) {
			return kafka.Open(ctx, kafka.Config{
				Brokers:     cfg.Kafka.Brokers,
				Topic:       cfg.Kafka.Topic,
				Partitions:  cfg.Kafka.Partitions,
				Replication: cfg.Kafka.Replication,
				Retention:   cfg.Kafka.Retention,
				SASL:        kafka.SASL(cfg.Kafka.SASL),
				TLS:         encryption,
				Retry:       cfg.Reconnect.retry(),
				Logger:      logger,
			})
		}, nil
	case "rabbitmq":
		return func(ctx context.Context) (broker.Driver, error) {
			return rabbitmq.Open(ctx, rabbitmq.Config{
				URL:      cfg.RabbitMQ.URL,
				Password: cfg.RabbitMQ.Password,
				MaxBytes: int64(cfg.RabbitMQ.MaxSize),
				Retry:    cfg.Reconnect.retry(),
				Logger:   logger,
			})
		}, nil
	}
	hub := memory.NewHub()
	return func(context.Context) (broker.Driver, error) { return hub.Driver(), nil }, nil
}

func socketOptions(cfg Server, cluster *adapter.Cluster, logger *slog.Logger) socketio.Options {
	opts := socketio.Options{
		Engine: engineio.Options{
			PingInterval:   cfg.PingInterval,
			PingTimeout:    cfg.PingTimeout,
			UpgradeTimeout: cfg.UpgradeTimeout,
			MaxPayload:     int(cfg.MaxPayload),
			MaxQueue:       int(cfg.MaxQueue),
			WriteTimeout:   cfg.WriteTimeout,
			CloseTimeout:   cfg.ShutdownTimeout / 2, // else a client that stopped polling takes all of it
		},
		Adapter:        cluster.Namespace,
		ConnectTimeout: cfg.ConnectTimeout,
		// Clients choose which of those in cfg.Namespaces there are.
		CleanupEmptyNamespaces: true,
		Logger:                 logger,
	}
	if len(cfg.CORS.Origins) > 0 {
		opts.Engine.CORS = &engineio.CORS{Origins: cfg.CORS.Origins, Credentials: cfg.CORS.Credentials}
	}
	return opts
}

// adminNamespace is where Socket.IO's Admin UI connects to.
const adminNamespace = "/admin"

func adminOptions(cfg Admin, node string, logger *slog.Logger) admin.Options {
	return admin.Options{
		Namespace:    adminNamespace,
		Username:     cfg.Username,
		PasswordHash: cfg.PasswordHash,
		ReadOnly:     cfg.ReadOnly,
		Development:  cfg.Development,
		ServerID:     node,
		Logger:       logger,
	}
}
