package engineio_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
	bus      *broker.Bus
	weather  *weather
	sessions chan engineio.Receiver // those that the application has accepted
}

// peer returns the Receiver of the next session of the node.
func (n *node) peer(t *testing.T) engineio.Receiver {
	t.Helper()
	return recv(t, n.sessions)
}

// newCluster returns n nodes that see each other, whose application echoes.
func newCluster(t *testing.T, n int, opts engineio.Options, pipes bool) *cluster {
	t.Helper()
	return newClusterWith(t, n, opts, pipes, memory.NewHub().Driver, nil)
}

func newClusterWith(t *testing.T, n int, opts engineio.Options, pipes bool, driver func() broker.Driver, hear func(*peer, bool, []byte) error) *cluster {
	t.Helper()
	opened := make(chan *peer, 1<<12)
	c := newClusterOf(t, n, opts, pipes, driver, func(s *engineio.Session) engineio.Receiver {
		p := &peer{Session: s, hear: hear, closed: make(chan end, 2)}
		opened <- p
		return p
	})
	c.opened = opened
	return c
}

func newClusterOf(t *testing.T, n int, opts engineio.Options, pipes bool, driver func() broker.Driver, accept func(*engineio.Session) engineio.Receiver) *cluster {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	c := &cluster{}
	for i := range n {
		nd := &node{sessions: make(chan engineio.Receiver, 1<<12)}
		nd.bus, nd.weather = openBus(t, fmt.Sprintf("node-%d", i), driver)
		o := opts
		o.Peers = peers.Over(nd.bus)
		nd.Server = engineio.New(o, func(s *engineio.Session) engineio.Receiver {
			r := accept(s)
			nd.sessions <- r
			return r
		})
		c.nodes = append(c.nodes, nd)
	}
	for _, nd := range c.nodes {
		until(t, func() bool { return len(nd.bus.Members()) == n-1 })
	}
	c.rig = serveWith(t, c.nodes[0].Server, http.HandlerFunc(c.balance), pipes)
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
	t.Cleanup(func() { // before the ends of the Servers
		for _, nd := range c.nodes {
			nd.weather.change(fair, 0)
		}
	})
	return c
}

func openBus(t *testing.T, name string, driver func() broker.Driver) (*broker.Bus, *weather) {
	t.Helper()
	w := &weather{Driver: driver()}
	bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return w, nil },
		broker.Options{Node: name, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
	})
	return bus, w
}

// balance sends each request to the next node.
func (c *cluster) balance(w http.ResponseWriter, r *http.Request) {
	i := int(c.force.Load()) - 1
	if i < 0 {
		i = int(c.turn.Add(1)) % len(c.nodes)
	}
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

// A weather is a Driver and what befalls it.
type weather struct {
	broker.Driver

	mu  sync.Mutex // guards the fields below
	now sky
	lag time.Duration // of what is delivered to this node
	n   int           // bytes that were published
}

func (w *weather) bytes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

type sky int

const (
	fair   sky = iota
	cutOff     // nothing gets through, and nobody tells
)

func (w *weather) change(now sky, lag time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now, w.lag = now, lag
}

func (w *weather) get() (sky, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now, w.lag
}

func (w *weather) Publish(ctx context.Context, topic string, data []byte) error {
	if now, _ := w.get(); now == cutOff {
		return nil
	}
	w.mu.Lock()
	w.n += len(data)
	w.mu.Unlock()
	return w.Driver.Publish(ctx, topic, data)
}

func (w *weather) Subscribe(ctx context.Context, topic string, h broker.Handler) (broker.Subscription, error) {
	return w.Driver.Subscribe(ctx, topic, func(data []byte) {
		now, lag := w.get()
		if now == cutOff {
			return
		}
		time.Sleep(lag)
		h(data)
	})
}
