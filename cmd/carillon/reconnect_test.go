package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker/brokertest"
)

// unreachable is a configuration whose broker accepts no connections, and what says so.
func unreachable(driver string) (cfg Config, reason string) {
	const nobody = "127.0.0.1:1"
	cfg = defaultConfig()
	cfg.Server.Listen, cfg.Server.Node, cfg.Broker.Driver = "127.0.0.1:0", "n", driver
	cfg.Broker.Redis.URL = "redis://" + nobody
	cfg.Broker.RabbitMQ.URL = "amqp://guest@" + nobody
	cfg.Broker.Kafka.Brokers = []string{nobody}
	cfg.Broker.Reconnect = Reconnect{Base: 20 * time.Millisecond, Max: 40 * time.Millisecond, Retries: 2, Then: "degrade"}
	return cfg, "127.0.0.1:1 does not accept connections: start"
}

// fixed never changes.
func fixed(cfg Config, log *brokertest.Log) *reloader {
	return newReloader(cfg, func() (Config, error) { return cfg, nil }, log.Logger())
}

// A broker that stays away ends the process, if that is what is configured.
func TestExitWithoutBroker(t *testing.T) {
	for _, driver := range []string{"redis", "rabbitmq", "kafka"} {
		t.Run(driver, func(t *testing.T) {
			cfg, reason := unreachable(driver)
			cfg.Broker.Reconnect.Then = "exit"
			log := new(brokertest.Log)
			ctx, cancel := context.WithTimeout(t.Context(), brokertest.Patience)
			defer cancel()
			err := run(ctx, cfg, log.Logger(), fixed(cfg, log), nil)
			if err == nil || ctx.Err() != nil {
				t.Fatalf("got %v, %v, want an end by itself", err, ctx.Err())
			}
			if want := "broker " + driver + ": not reached in 2 retries, and broker.reconnect.then is exit"; !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q in it", err, want)
			}
			for _, want := range []string{"level=WARN", "level=ERROR", reason} {
				if got := log.String(); !strings.Contains(got, want) {
					t.Errorf("the log lacks %q:\n%s", want, got)
				}
			}
		})
	}
}

// Otherwise this node serves on without it.
func TestServeWithoutBroker(t *testing.T) {
	for _, driver := range []string{"redis", "rabbitmq", "kafka"} {
		t.Run(driver, func(t *testing.T) {
			cfg, reason := unreachable(driver)
			log, ready, done := new(brokertest.Log), make(chan string, 1), make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { done <- run(ctx, cfg, log.Logger(), fixed(cfg, log), func(addr string) { ready <- addr }) }()
			addr := <-ready
			for end := time.Now().Add(brokertest.Patience); !strings.Contains(log.String(), "this node is degraded"); {
				if time.Now().After(end) {
					t.Fatalf("the node is not degraded:\n%s", log)
				}
				<-time.After(10 * time.Millisecond)
			}
			if got := log.String(); !strings.Contains(got, reason) {
				t.Errorf("the log lacks %q:\n%s", reason, got)
			}
			res, err := http.Get("http://" + addr + "/")
			if err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("got %v, %v, want the page", res, err)
			}
			if err == nil {
				res.Body.Close()
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("got %v, want an orderly end", err)
			}
		})
	}
}
