package broker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

var errAway = errors.New("the broker is away")

// faults are what befalls the publishes and deliveries of one node. The zero
// value is fair weather.
type faults struct {
	mu      sync.Mutex // guards all
	away    bool       // publishes fail, nothing is delivered
	deaf    bool       // nothing is delivered to this node, and it does not know
	mute    bool       // publishes seem to work
	lose    func(topic string, data []byte) bool
	twice   float64 // how likely an envelope is delivered twice,
	unknown float64 // and a publish fails, though half of them work
	delay   func(topic string) time.Duration
	epoch   int           // what was under way when it changes is lost
	pause   chan struct{} // if not nil, nothing moves before it is closed,
	paused  string        // on topics that contain this
	rand    *rand.Rand
}

func (f *faults) set(change func(f *faults)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *faults) chance(p float64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return p > 0 && f.rand.Float64() < p
}

// A faulty driver is a driver in bad weather.
type faulty struct {
	broker.Driver
	*faults
}

func (d faulty) Publish(ctx context.Context, topic string, data []byte) error {
	d.mu.Lock()
	pause := d.pause
	if !strings.Contains(topic, d.paused) {
		pause = nil
	}
	d.mu.Unlock()
	if pause != nil {
		select {
		case <-pause:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.mu.Lock()
	away, mute := d.away, d.mute
	lost := d.lose != nil && d.lose(topic, data)
	d.mu.Unlock()
	if away {
		return errAway
	}
	if mute || lost {
		return nil
	}
	if d.chance(d.unknown) {
		if d.chance(0.5) {
			d.Driver.Publish(ctx, topic, data)
		}
		return errors.New("who knows")
	}
	if d.chance(d.twice) {
		d.Driver.Publish(ctx, topic, data)
	}
	return d.Driver.Publish(ctx, topic, data)
}

func (d faulty) Subscribe(ctx context.Context, topic string, h broker.Handler) (broker.Subscription, error) {
	return d.Driver.Subscribe(ctx, topic, func(data []byte) {
		d.mu.Lock()
		off, delay, pause, epoch := d.away || d.deaf, time.Duration(0), d.pause, d.epoch
		if d.delay != nil {
			delay = d.delay(topic)
		}
		if !strings.Contains(topic, d.paused) {
			pause = nil
		}
		d.mu.Unlock()
		if off {
			return
		}
		time.Sleep(delay) // in a bubble: the topics run apart
		if pause != nil {
			<-pause
		}
		d.mu.Lock()
		lost := epoch != d.epoch
		d.mu.Unlock()
		if !lost {
			h(data)
		}
	})
}

// A node is a Bus and what it heard, in order.
type node struct {
	*broker.Bus
	faults *faults

	mu    sync.Mutex // guards what follows
	heard []string   // "name: body", "name up", "name down", "name gap 1-2", "frozen", …
}

func (n *node) note(format string, a ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heard = append(n.heard, fmt.Sprintf(format, a...))
}

// take returns what was heard since the last call.
func (n *node) take() []string {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.heard
	n.heard = nil
	return h
}

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

// start opens a node on hub, which notes messages on channels "a" and "b".
// Close it before the bubble ends.
func start(t *testing.T, hub *memory.Hub, name string, opts broker.Options) *node {
	t.Helper()
	return startWith(t, hub, name, opts, &faults{})
}

func startWith(t *testing.T, hub *memory.Hub, name string, opts broker.Options, f *faults) *node {
	t.Helper()
	f.rand = rand.New(rand.NewPCG(1, 2))
	n := &node{faults: f}
	if opts.Logger == nil {
		opts.Logger = silent
	}
	opts.Node = name
	b, err := broker.Open(t.Context(), func(ctx context.Context) (broker.Driver, error) {
		n.faults.mu.Lock()
		defer n.faults.mu.Unlock()
		if n.faults.away {
			return nil, errAway
		}
		return faulty{hub.Driver(), n.faults}, nil
	}, opts)
	if err != nil {
		t.Fatal(err)
	}
	n.Bus = b
	n.listen()
	t.Cleanup(func() { n.Close() })
	return n
}

func (n *node) listen() {
	for _, ch := range []string{"a", "b"} {
		n.Handle(ch, func(m broker.Message) { n.note("%s: %s", m.From.Name, m.Body) })
	}
	n.Watch(func(ev broker.Event) {
		switch ev.Kind {
		case broker.NodeUp:
			n.note("%s up", ev.Node.Name)
		case broker.NodeDown:
			n.note("%s down", ev.Node.Name)
		case broker.Gap:
			n.note("%s gap %d-%d", ev.Node.Name, ev.From, ev.To)
		case broker.StateChanged:
			n.note("state %v", ev.State)
		default:
			n.note("%v", ev.Kind)
		}
	})
}

// startLate is start for a broker that appears when the node listens already,
// so that nothing is said to it before.
func startLate(t *testing.T, hub *memory.Hub, name string) *node {
	t.Helper()
	n := startWith(t, hub, name, broker.Options{}, &faults{away: true})
	n.faults.set(func(f *faults) { f.away = false })
	return n
}

// pair starts two nodes that know each other.
func pair(t *testing.T, opts broker.Options) (x, y *node) {
	t.Helper()
	hub := memory.NewHub()
	x, y = start(t, hub, "x", opts), start(t, hub, "y", opts)
	synctest.Wait()
	x.take()
	y.take()
	if len(x.Members()) != 1 || len(y.Members()) != 1 {
		t.Fatalf("x knows %v, y knows %v", x.Members(), y.Members())
	}
	return x, y
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
