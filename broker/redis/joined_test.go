package redis_test

import (
	"sync/atomic"
	"testing"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/redis"
)

// openAll returns n drivers with cfg, which are closed after the test.
func openAll(t *testing.T, cfg redis.Config, n int) []broker.Driver {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = silent
	}
	var ds []broker.Driver
	for range n {
		d, err := redis.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		ds = append(ds, d)
	}
	return ds
}

// joined are nodes of one cluster over ds, the first two of them x and y, of
// which y tells what it hears. That one misses something or is thought to be
// gone fails the test.
func joined(t *testing.T, ds []broker.Driver, opts broker.Options) (x, y *broker.Bus, heard <-chan string) {
	t.Helper()
	nodes := brokertest.Cluster(t, ds, opts)
	c := make(chan string, 10000)
	var over atomic.Bool
	for _, b := range nodes {
		b.Watch(func(ev broker.Event) {
			if over.Load() {
				return // the nodes go, one after the other
			}
			if ev.Kind == broker.Gap || ev.Kind == broker.NodeDown {
				t.Errorf("%s: %v of %s", b.Self().Name, ev.Kind, ev.Node.Name)
			}
		})
	}
	nodes[1].Handle("x", func(m broker.Message) { c <- string(m.Body) })
	t.Cleanup(func() { over.Store(true) })
	return nodes[0], nodes[1], c
}
