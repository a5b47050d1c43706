package engineio_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/peers"
)

// A cluster is Servers of several nodes behind a balancer that sends each
// request to the next node.
type cluster struct {
	*rig  // of which Server is that of the first node
	nodes []*node
	turn  atomic.Int64
	force atomic.Int64 // 1 + the index of the node that all requests go to; 0: in turn
}

// A node is one of them.
type node struct {
	*engineio.Server
	bus  *broker.Bus
	hits atomic.Int64
}

// newCluster returns n nodes that see each other.
func newCluster(t *testing.T, n int, opts engineio.Options, pipes bool) *cluster {
	t.Helper()
	return newClusterWith(t, n, opts, pipes, memory.NewHub().Driver, nil)
}

func newClusterWith(t *testing.T, n int, opts engineio.Options, pipes bool, driver func() broker.Driver, hear func(*peer, bool, []byte) error) *cluster {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	c := &cluster{}
	opened := make(chan *peer, 1<<12)
	for i := range n {
		bus := openBus(t, fmt.Sprintf("node-%d", i), driver)
		o := opts
		o.Peers = peers.Over(bus)
		c.nodes = append(c.nodes, &node{bus: bus, Server: engineio.New(o, func(s *engineio.Session) engineio.Receiver {
			p := &peer{Session: s, hear: hear, closed: make(chan end, 2)}
			opened <- p
			return p
		})})
	}
	for _, nd := range c.nodes {
		until(t, func() bool { return len(nd.bus.Members()) == n-1 })
	}
	c.rig = serveWith(t, c.nodes[0].Server, http.HandlerFunc(c.balance), pipes)
	c.opened = opened
	for _, nd := range c.nodes[1:] {
		t.Cleanup(func() {
			if err := nd.Close(); err != nil {
				t.Error(err)
			}
			if n := nd.Sessions(); n != 0 {
				t.Errorf("%d sessions after Close", n)
			}
		})
	}
	return c
}

func openBus(t *testing.T, name string, driver func() broker.Driver) *broker.Bus {
	t.Helper()
	bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return driver(), nil }, broker.Options{Node: name, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
	})
	return bus
}

// balance sends each request to the next node.
func (c *cluster) balance(w http.ResponseWriter, r *http.Request) {
	i := int(c.force.Load()) - 1
	if i < 0 {
		i = int(c.turn.Add(1)) % len(c.nodes)
	}
	c.nodes[i].hits.Add(1)
	c.nodes[i].ServeHTTP(w, r)
}

// to has all requests go to one node, or, for -1, in turn.
func (c *cluster) to(i int) { c.force.Store(int64(i + 1)) }

// pollAt opens a session of one node.
func (c *cluster) pollAt(i int) (query string, p *peer) {
	c.t.Helper()
	c.to(i)
	return c.poll()
}
