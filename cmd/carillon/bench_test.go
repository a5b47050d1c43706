package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/kafka"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/broker/rabbitmq"
	"github.com/carillonhq/carillon/broker/redis"
)

// BenchmarkMessage measures how long a direct message takes from a client of
// one instance to a client of another, at 500 messages a second: -benchtime
// 5000x is ten seconds. A message that is sent late counts from the time when
// it should have been sent.
func BenchmarkMessage(b *testing.B) {
	b.Run("memory", func(b *testing.B) { benchmarkMessage(b, on(memory.NewHub())) })
	b.Run("redis", func(b *testing.B) {
		url := brokertest.Env(b, "CARILLON_TEST_REDIS")
		benchmarkMessage(b, func(ctx context.Context) (broker.Driver, error) {
			return redis.Open(ctx, redis.Config{URL: url, Logger: slog.New(slog.DiscardHandler)})
		})
	})
	b.Run("rabbitmq", func(b *testing.B) {
		url := brokertest.Env(b, "CARILLON_TEST_RABBITMQ")
		benchmarkMessage(b, func(ctx context.Context) (broker.Driver, error) {
			return rabbitmq.Open(ctx, rabbitmq.Config{URL: url, Logger: slog.New(slog.DiscardHandler)})
		})
	})
	b.Run("kafka", func(b *testing.B) {
		addrs := strings.Split(brokertest.Env(b, "CARILLON_TEST_KAFKA"), ",")
		benchmarkMessage(b, func(ctx context.Context) (broker.Driver, error) {
			return kafka.Open(ctx, kafka.Config{Brokers: addrs, Topic: "carillon-bench", Retention: time.Minute, Logger: slog.New(slog.DiscardHandler)})
		})
	})
}

func benchmarkMessage(b *testing.B, open opener) {
	one, other := pair(b, open, broker.Options{Cluster: "bench-" + rand.Text()})
	alice, bob := login(b, one, "alice"), login(b, other, "bob")
	const interval = time.Second / 500
	payload := strings.Repeat("x", 100)
	sent := make([]time.Time, b.N)
	taken := make([]time.Duration, 0, b.N)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for len(taken) < b.N {
			if strings.HasPrefix(bob.Read(), `42["message",`) {
				taken = append(taken, time.Since(sent[len(taken)]))
			}
		}
	}()
	b.ResetTimer()
	start := time.Now()
	for i := range b.N {
		sent[i] = start.Add(time.Duration(i) * interval)
		time.Sleep(time.Until(sent[i]))
		alice.Send(fmt.Sprintf(`42["message",{"to":"bob","data":%q}]`, payload))
	}
	<-done
	b.StopTimer()
	slices.Sort(taken)
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(taken[(len(taken)-1)*p/100].Microseconds())/1000, fmt.Sprint("p", p, "-ms"))
	}
}
