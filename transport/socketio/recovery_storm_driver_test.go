package socketio_test

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// A rough driver loses some of what it hears, delivers some of it twice, or late,
// and not in order. It can be cut off, frozen, and end for good.
type rough struct {
	broker.Driver
	lag              time.Duration
	loss, repetition int // in 1000

	mu       sync.Mutex // guards all below
	rng      *rand.Rand
	cut      bool
	silent   bool
	thaw     chan struct{} // nil unless it is frozen
	channels []*roughly
}

func (d *rough) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *rough) cutOff(off bool) { d.set(func() { d.cut = off }) }

// kill has nothing go in or out any more.
func (d *rough) kill() { d.set(func() { d.silent = true }) }

// freeze has all wait until f is closed.
func (d *rough) freeze(f chan struct{}) { d.set(func() { d.thaw = f }) }

// pass waits while the driver is frozen, and reports whether it works.
func (d *rough) pass(stop <-chan struct{}) bool {
	d.mu.Lock()
	works, thaw := !d.cut && !d.silent, d.thaw
	d.mu.Unlock()
	if thaw != nil {
		select {
		case <-thaw:
		case <-stop:
			return false
		}
	}
	return works
}

func (d *rough) Publish(ctx context.Context, topic string, data []byte) error {
	if !d.pass(ctx.Done()) {
		return ctx.Err() // nobody knows
	}
	return d.Driver.Publish(ctx, topic, data)
}

func (d *rough) Subscribe(ctx context.Context, topic string, h broker.Handler) (broker.Subscription, error) {
	s := &roughly{driver: d, more: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go s.run(h) // ends with Close
	inner, err := d.Driver.Subscribe(ctx, topic, s.take)
	if err != nil {
		s.end()
		return nil, err
	}
	s.inner = inner
	d.set(func() { d.channels = append(d.channels, s) })
	return s, nil
}

func (d *rough) Close() error {
	err := d.Driver.Close()
	d.mu.Lock()
	channels := d.channels
	d.mu.Unlock()
	for _, s := range channels {
		s.end()
	}
	return err
}

// roughly is a subscription of a rough driver.
type roughly struct {
	driver     *rough
	inner      broker.Subscription
	more       chan struct{}
	stop, done chan struct{}
	once       sync.Once

	mu    sync.Mutex // guards items
	items []slowItem // the next one first
}

// take is the broker.Handler of the driver below.
func (s *roughly) take(data []byte) {
	d := s.driver
	d.mu.Lock()
	n := 1
	switch k := d.rng.IntN(1000); {
	case d.cut || d.silent || k < d.loss:
		n = 0
	case k < d.loss+d.repetition:
		n = 2
	}
	now := time.Now()
	s.mu.Lock()
	for range n {
		i := slowItem{at: now.Add(time.Duration(d.rng.Int64N(int64(d.lag) + 1))), data: slices.Clone(data)}
		k, _ := slices.BinarySearchFunc(s.items, i, func(a, b slowItem) int { return a.at.Compare(b.at) })
		s.items = slices.Insert(s.items, k, i)
	}
	s.mu.Unlock()
	d.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
}

func (s *roughly) run(h broker.Handler) {
	defer close(s.done)
	for {
		s.mu.Lock()
		wait := time.Hour
		var next []byte
		if len(s.items) > 0 {
			if wait = time.Until(s.items[0].at); wait <= 0 {
				next = s.items[0].data
				s.items = s.items[1:]
			}
		}
		s.mu.Unlock()
		if next != nil {
			if s.driver.pass(s.stop) {
				h(next)
			}
			continue
		}
		select {
		case <-time.After(wait):
		case <-s.more:
		case <-s.stop:
			return
		}
	}
}

func (s *roughly) Close() error {
	err := s.inner.Close()
	s.end()
	return err
}

func (s *roughly) end() {
	s.once.Do(func() { close(s.stop) })
	<-s.done
}

// A gate is what all connections to a node go through, on the side of clients.
type gate struct {
	mu    sync.Mutex // guards all below
	thaw  chan struct{}
	conns []*gated
	gone  bool
}

func (g *gate) freeze(f chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.thaw = f
}

// shut breaks all connections, and lets none through any more.
func (g *gate) shut() {
	g.mu.Lock()
	conns := g.conns
	g.conns, g.gone = nil, true
	g.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

func (g *gate) wrap(c net.Conn) net.Conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	one := &gated{Conn: c, gate: g, closed: make(chan struct{})}
	if g.conns = append(g.conns, one); g.gone {
		_ = one.Close()
	}
	return one
}

// A gated connection waits while its node is frozen.
type gated struct {
	net.Conn
	gate   *gate
	closed chan struct{}
	once   sync.Once
}

func (c *gated) wait() {
	c.gate.mu.Lock()
	thaw := c.gate.thaw
	c.gate.mu.Unlock()
	if thaw != nil {
		select {
		case <-thaw:
		case <-c.closed:
		}
	}
}

func (c *gated) Read(b []byte) (int, error) {
	c.wait()
	n, err := c.Conn.Read(b)
	c.wait()
	return n, err
}

func (c *gated) Write(b []byte) (int, error) {
	c.wait()
	return c.Conn.Write(b)
}

func (c *gated) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
