// Package bridge makes a [broker.Driver] of any Watermill publisher and
// subscriber that deliver every message to every subscriber, keep the order
// of a publisher within a topic, and are live when Subscribe returns. What a
// pair lacks of that, the package that configures it has to mend; brokertest
// tells.
//
// A message is acknowledged as soon as it is handed over: it is meant for
// connections that end with this process, so there is no use in having it
// delivered again to the next. A handler that is slow delays the
// acknowledgement, and so what comes next. Messages without payload are
// dropped; some libraries make them up when they lose their connection.
package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/carillonhq/carillon/broker"
)

// Options tune a Driver. The zero value suits any pair.
type Options struct {
	// ContextPublish says that the publisher gives up soon after the context
	// of a message is done, and keeps nothing of the payload. Publish then
	// needs no goroutine and no copy.
	ContextPublish bool

	// OwnPayload says that nobody but the subscription has the payload of what
	// its Subscriber delivers, and so no copy has to be made for the handler.
	OwnPayload bool

	// Interrupt, if set, makes publishes that are under way return. With
	// ContextPublish, Close calls it and then waits for them before it closes
	// the publisher: not every library allows Publish and Close together.
	Interrupt func()
}

// New returns a driver over pub and what subscribe returns, which is asked for
// a Subscriber for every subscription. ctx bounds that call alone. The driver
// closes them with the subscription, and pub with itself; see KeepOpen.
func New(pub message.Publisher, subscribe func(ctx context.Context, topic string) (message.Subscriber, error), opts Options) broker.Driver {
	return &driver{
		pub: pub, subscribe: subscribe, opts: opts,
		closed: make(chan struct{}),
		turns:  make(map[string]*turn),
		subs:   make(map[*subscription]bool),
	}
}

type driver struct {
	pub       message.Publisher
	subscribe func(context.Context, string) (message.Subscriber, error)
	opts      Options

	closed chan struct{}
	wg     sync.WaitGroup // publishes under way, whether somebody waits for them or not

	mu    sync.Mutex // guards what follows
	over  bool
	turns map[string]*turn
	subs  map[*subscription]bool

	once     sync.Once
	closeErr error
}

// A turn is the right to publish to a topic, for libraries that do not give
// up: a publish that was abandoned must not be overtaken by the next.
type turn struct {
	c    chan struct{} // holds one token while somebody has the turn
	refs int           // callers that have it or want it
}

func (d *driver) Publish(ctx context.Context, topic string, data []byte) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	if d.opts.ContextPublish {
		if !d.begin() {
			return broker.ErrClosed
		}
		defer d.wg.Done()
		return d.publish(ctx, topic, data)
	}

	t := d.turn(topic)
	select {
	case t.c <- struct{}{}:
	case <-ctx.Done():
		d.release(topic, t, false)
		return ctx.Err()
	case <-d.closed:
		d.release(topic, t, false)
		return broker.ErrClosed
	}
	if !d.begin() {
		d.release(topic, t, true)
		return broker.ErrClosed
	}
	done := make(chan error, 1)
	data = bytes.Clone(data)
	go func() { // ends when the library returns, at the latest after its Close
		defer d.wg.Done()
		err := d.publish(ctx, topic, data)
		d.release(topic, t, true)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin makes Close wait for a publish, unless it is too late for one.
func (d *driver) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.over {
		d.wg.Add(1)
	}
	return !d.over
}

func (d *driver) publish(ctx context.Context, topic string, data []byte) error {
	err := d.pub.Publish(topic, message.NewMessageWithContext(ctx, "", data))
	if err == nil {
		return nil
	}
	select {
	case <-d.closed:
		return broker.ErrClosed
	default:
		return err
	}
}

func (d *driver) ready(ctx context.Context) error {
	select {
	case <-d.closed:
		return broker.ErrClosed
	default:
		return ctx.Err()
	}
}

func (d *driver) turn(topic string) *turn {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.turns[topic]
	if t == nil {
		t = &turn{c: make(chan struct{}, 1)}
		d.turns[topic] = t
	}
	t.refs++
	return t
}

func (d *driver) release(topic string, t *turn, had bool) {
	if had {
		<-t.c
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.refs--; t.refs == 0 {
		delete(d.turns, topic)
	}
}

func (d *driver) Subscribe(ctx context.Context, topic string, h broker.Handler) (broker.Subscription, error) {
	if err := d.ready(ctx); err != nil {
		return nil, err
	}
	sub, err := d.subscribe(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", topic, err)
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c, err := sub.Subscribe(own, topic)
	if err != nil {
		cancel()
		return nil, errors.Join(fmt.Errorf("subscribe to %s: %w", topic, err), sub.Close())
	}
	s := &subscription{driver: d, sub: sub, cancel: cancel, closed: make(chan struct{}), done: make(chan struct{})}
	d.mu.Lock()
	over := d.over
	if !over {
		d.subs[s] = true
	}
	d.mu.Unlock()
	go s.run(c, h) // ends when Close has made the library close c
	if over {
		return nil, errors.Join(broker.ErrClosed, s.Close())
	}
	return s, nil
}

func (d *driver) Close() error {
	d.once.Do(func() {
		d.mu.Lock()
		d.over = true
		close(d.closed)
		var subs []*subscription
		for s := range d.subs {
			subs = append(subs, s)
		}
		d.mu.Unlock()
		var errs []error
		for _, s := range subs {
			errs = append(errs, s.Close())
		}
		if d.opts.Interrupt != nil {
			d.opts.Interrupt()
		}
		if d.opts.ContextPublish {
			d.wg.Wait()
		}
		errs = append(errs, d.pub.Close())
		d.wg.Wait()
		d.closeErr = errors.Join(errs...)
	})
	return d.closeErr
}
