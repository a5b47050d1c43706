// Package memory is a broker within one process: for a single node, for tests,
// and as the plainest example of what a [broker.Driver] has to do.
//
// Every [Hub] is a broker of its own; the drivers of one Hub hear each other.
// Nothing is lost or repeated. A subscriber that does not keep up holds up
// the publishers of its topic once 16 MiB wait for it. A Hub uses no clock,
// no network and no goroutine but one for each subscription, so that it works
// in a testing/synctest bubble.
package memory

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/carillonhq/carillon/broker"
)

// A Hub joins its drivers. Use NewHub.
type Hub struct {
	mu     sync.Mutex // guards topics
	topics map[string][]*subscription
}

// NewHub returns a Hub without drivers.
func NewHub() *Hub { return &Hub{topics: make(map[string][]*subscription)} }

// Driver returns a new driver of h, which may have any number of them.
func (h *Hub) Driver() broker.Driver {
	return &driver{hub: h, closed: make(chan struct{}), subs: make(map[*subscription]bool)}
}

// Open returns a new driver of h, as broker.Open wants it. It never fails.
func (h *Hub) Open(context.Context) (broker.Driver, error) { return h.Driver(), nil }

// Open returns the driver of a Hub of its own: a cluster of one node.
func Open(ctx context.Context) (broker.Driver, error) { return NewHub().Open(ctx) }

type driver struct {
	hub    *Hub
	closed chan struct{}

	mu   sync.Mutex // guards subs, and the closing of closed
	subs map[*subscription]bool
}

func (d *driver) Publish(ctx context.Context, topic string, data []byte) error {
	select {
	case <-d.closed:
		return broker.ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	d.hub.mu.Lock()
	subs := d.hub.topics[topic] // is replaced, never changed
	d.hub.mu.Unlock()
	for _, s := range subs {
		if err := s.put(ctx, d.closed, bytes.Clone(data)); err != nil {
			return err
		}
	}
	return nil
}

func (d *driver) Subscribe(ctx context.Context, topic string, h broker.Handler) (broker.Subscription, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := newSubscription(d, topic, h)
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.closed:
		return nil, broker.ErrClosed
	default:
	}
	d.subs[s] = true
	d.hub.mu.Lock()
	defer d.hub.mu.Unlock()
	d.hub.topics[topic] = append(slices.Clip(d.hub.topics[topic]), s)
	go s.run() // ends with Close, which waits for it
	return s, nil
}

func (d *driver) Close() error {
	d.mu.Lock()
	select {
	case <-d.closed:
	default:
		close(d.closed)
	}
	var subs []*subscription
	for s := range d.subs {
		subs = append(subs, s)
	}
	d.mu.Unlock()
	for _, s := range subs {
		s.Close()
	}
	return nil
}

// remove makes s hear nothing more.
func (d *driver) remove(s *subscription) {
	d.mu.Lock()
	delete(d.subs, s)
	d.mu.Unlock()
	d.hub.mu.Lock()
	defer d.hub.mu.Unlock()
	var rest []*subscription
	for _, o := range d.hub.topics[s.topic] {
		if o != s {
			rest = append(rest, o)
		}
	}
	if len(rest) == 0 {
		delete(d.hub.topics, s.topic)
	} else {
		d.hub.topics[s.topic] = rest
	}
}
