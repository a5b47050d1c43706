package kafka_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/kafka"
)

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

func brokers(t testing.TB) []string {
	return strings.Split(brokertest.Env(t, "CARILLON_TEST_KAFKA"), ",")
}

// topic returns the name of a topic of Kafka that is deleted after the test.
func topic(t testing.TB, addrs []string) string {
	t.Helper()
	name := brokertest.Prefix()
	t.Cleanup(func() { remove(t, admin(t, addrs), name) })
	return name
}

func admin(t testing.TB, addrs []string) sarama.ClusterAdmin {
	t.Helper()
	conf := sarama.NewConfig()
	conf.Version = sarama.V2_8_0_0
	a, err := sarama.NewClusterAdmin(addrs, conf)
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	t.Cleanup(func() { once.Do(func() { a.Close() }) })
	return a
}

func remove(t testing.TB, a sarama.ClusterAdmin, name string) {
	t.Helper()
	defer a.Close()
	if err := a.DeleteTopic(name); err != nil {
		t.Logf("delete topic %s: %v", name, err)
	}
}

func open(t testing.TB, cfg kafka.Config) broker.Driver {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = silent
	}
	ctx, cancel := context.WithTimeout(t.Context(), brokertest.Patience)
	defer cancel()
	d, err := kafka.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func opener(t *testing.T) func(t *testing.T, n int) []broker.Driver {
	addrs := brokers(t)
	name := topic(t, addrs)
	return func(t *testing.T, n int) []broker.Driver {
		var ds []broker.Driver
		for range n {
			ds = append(ds, open(t, kafka.Config{Brokers: addrs, Topic: name}))
		}
		return ds
	}
}

func TestContract(t *testing.T) { brokertest.Run(t, opener(t)) }

func TestBus(t *testing.T) { brokertest.RunBus(t, opener(t)) }

func wait(t *testing.T, c <-chan string) string {
	t.Helper()
	select {
	case s := <-c:
		return s
	case <-time.After(brokertest.Patience):
		t.Fatal("nothing came")
		return ""
	}
}
