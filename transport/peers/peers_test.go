package peers_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/peers"
)

// A node records what it hears.
type node struct {
	*peers.Peers
	bus  *broker.Bus
	off  atomic.Bool // what it says and what is said to it vanishes
	stop func()

	mu    sync.Mutex // guards the fields below
	heard []string
	lost  []string
}

func (n *node) take() (heard, lost []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	heard, lost = n.heard, n.lost
	n.heard, n.lost = nil, nil
	return heard, lost
}

// A driver is one that a node can be cut off by.
type driver struct {
	broker.Driver
	n *node
}

func (d driver) Publish(ctx context.Context, topic string, data []byte) error {
	if d.n.off.Load() {
		return nil
	}
	return d.Driver.Publish(ctx, topic, data)
}

func (d driver) Subscribe(ctx context.Context, topic string, h broker.Handler) (broker.Subscription, error) {
	return d.Driver.Subscribe(ctx, topic, func(data []byte) {
		if !d.n.off.Load() {
			h(data)
		}
	})
}

func open(t *testing.T, names ...string) []*node {
	t.Helper()
	hub := memory.NewHub()
	var nodes []*node
	for _, name := range names {
		n := &node{}
		bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return driver{hub.Driver(), n}, nil },
			broker.Options{Node: name, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		n.bus, n.Peers = bus, peers.Over(bus)
		n.stop = n.Listen(engineio.PeerHandler{
			Message: func(from string, body []byte) {
				n.mu.Lock()
				defer n.mu.Unlock()
				n.heard = append(n.heard, fmt.Sprintf("%s %s", from, body))
			},
			Lost: func(node string) {
				n.mu.Lock()
				defer n.mu.Unlock()
				n.lost = append(n.lost, node)
			},
		})
		t.Cleanup(func() {
			n.stop()
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		})
		nodes = append(nodes, n)
	}
	time.Sleep(time.Second)
	return nodes
}

func TestPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := open(t, "a", "b", "c")
		a, b, c := n[0], n[1], n[2]
		if a.Self() == b.Self() || len(a.Self()) != len(b.Self()) {
			t.Errorf("names %q and %q", a.Self(), b.Self())
		}
		if !a.Up(b.Self()) || a.Up(a.Self()) || a.Up("nobody") || !a.Any() {
			t.Error("a does not know who is up")
		}
		var want []string
		for i := range 100 {
			body := fmt.Appendf(nil, "%d", i)
			want = append(want, a.Self()+" "+string(body))
			if err := a.Send(b.Self(), body); err != nil {
				t.Fatal(err)
			}
			copy(body, "xxxx") // it is not kept
		}
		time.Sleep(time.Second)
		if heard, _ := b.take(); !slices.Equal(heard, want) {
			t.Errorf("b heard %q", heard)
		}
		if heard, _ := c.take(); heard != nil {
			t.Errorf("c heard %q, which was for b", heard)
		}
		for _, node := range []string{"nobody", a.Self()} {
			if err := a.Send(node, nil); !errors.Is(err, broker.ErrUnknownNode) {
				t.Errorf("to %q: %v", node, err)
			}
		}
		if err := a.Send(b.Self(), make([]byte, broker.MaxBody+1)); !errors.Is(err, broker.ErrTooLarge) {
			t.Errorf("too much: %v", err)
		}

		// Who is cut off knows that all are lost, and then so do they.
		c.off.Store(true)
		time.Sleep(7 * time.Second)
		for _, x := range []*node{a, b} {
			if _, lost := x.take(); !slices.Equal(lost, []string{c.Self()}) || x.Up(c.Self()) {
				t.Errorf("lost %q, want c", lost)
			}
		}
		if _, lost := c.take(); len(lost) < 2 || c.Up(a.Self()) || c.Any() {
			t.Errorf("c lost %q", lost)
		}
		c.off.Store(false)
		time.Sleep(10 * time.Second)
		if !c.Up(a.Self()) || !a.Up(c.Self()) || !c.Any() {
			t.Error("c is not back")
		}

		b.stop()
		_ = a.Send(b.Self(), []byte("late"))
		time.Sleep(time.Second)
		if heard, _ := b.take(); heard != nil {
			t.Errorf("b heard %q after it had stopped", heard)
		}
	})
}
