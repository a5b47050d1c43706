package adapter_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/adapter/adaptertest"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/kafka"
	"github.com/carillonhq/carillon/broker/rabbitmq"
	"github.com/carillonhq/carillon/broker/redis"
)

// A realBroker is one that the tests are pointed to.
type realBroker struct {
	name     string
	variable string // of the environment, that says where it is
	open     func(ctx context.Context, address string) (broker.Driver, error)
}

var realBrokers = []realBroker{
	{"redis", "CARILLON_TEST_REDIS", func(ctx context.Context, address string) (broker.Driver, error) {
		return redis.Open(ctx, redis.Config{URL: address, Logger: quiet})
	}},
	{"rabbitmq", "CARILLON_TEST_RABBITMQ", func(ctx context.Context, address string) (broker.Driver, error) {
		return rabbitmq.Open(ctx, rabbitmq.Config{URL: address, Logger: quiet})
	}},
	{"kafka", "CARILLON_TEST_KAFKA", func(ctx context.Context, address string) (broker.Driver, error) {
		return kafka.Open(ctx, kafka.Config{Brokers: strings.Split(address, ","), Topic: "carillon-adapter-tests", Retention: time.Minute, Logger: quiet})
	}},
}

// onRealBrokers runs f with each broker that is there.
func onRealBrokers(t *testing.T, f func(t *testing.T, open func(t *testing.T, n int) []broker.Driver)) {
	for _, b := range realBrokers {
		t.Run(b.name, func(t *testing.T) {
			address := brokertest.Env(t, b.variable)
			f(t, func(t *testing.T, n int) []broker.Driver {
				t.Helper()
				drivers := make([]broker.Driver, n)
				for i := range drivers {
					d, err := b.open(t.Context(), address)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { d.Close() })
					drivers[i] = d
				}
				return drivers
			})
		})
	}
}

// The contract of Adapter, of three nodes that real brokers join. Each test
// has a namespace of its own.
func TestOverBrokers(t *testing.T) {
	onRealBrokers(t, func(t *testing.T, open func(t *testing.T, n int) []broker.Driver) {
		var clusters []*adapter.Cluster
		for _, b := range brokertest.Cluster(t, open(t, 3), broker.Options{}) {
			clusters = append(clusters, newCluster(b))
		}
		adaptertest.Run(t, func(*testing.T) []adapter.Adapter {
			name := "/" + rand.Text()
			var nodes []adapter.Adapter
			for _, c := range clusters {
				nodes = append(nodes, c.Namespace(name))
			}
			return nodes
		})
	})
}

func TestClusterOverBrokers(t *testing.T) {
	onRealBrokers(t, adaptertest.RunCluster)
}
