package adaptertest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/carillonhq/carillon/broker"
)

var errAway = errors.New("the broker is away")

// A weather is a Driver and what befalls it.
type weather struct {
	broker.Driver

	mu      sync.Mutex // guards all below
	rand    *rand.Rand
	away    bool              // publishes fail, and nothing is delivered
	dead    bool              // publishes seem to work, and nothing is delivered
	frozen  chan struct{}     // if not nil, nothing moves until it is closed
	rough   bool              // envelopes are doubled, swapped and late
	swapped map[string][]byte // of each topic an envelope that the next overtakes
	subs    int               // subscriptions that are open
}

func newWeather(d broker.Driver) *weather {
	return &weather{Driver: d, rand: rand.New(rand.NewPCG(1, 2)), swapped: make(map[string][]byte)}
}

func (w *weather) set(change func(w *weather)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

// wait returns once nothing is frozen.
func (w *weather) wait() {
	w.mu.Lock()
	frozen := w.frozen
	w.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

// OnLink implements broker.Linked.
func (w *weather) OnLink(f func(broker.Link)) {
	if l, ok := w.Driver.(broker.Linked); ok {
		l.OnLink(f)
	}
}

// Limits implements broker.Limited.
func (w *weather) Limits() broker.Limits {
	if l, ok := w.Driver.(broker.Limited); ok {
		return l.Limits()
	}
	return broker.Limits{}
}

// Publish implements broker.Driver.
func (w *weather) Publish(ctx context.Context, topic string, data []byte) error {
	w.wait()
	w.mu.Lock()
	away, dead := w.away, w.dead
	late := w.swapped[topic]
	delete(w.swapped, topic)
	again := w.rough && w.rand.IntN(3) == 0
	if w.rough && late == nil && w.rand.IntN(3) == 0 {
		w.swapped[topic] = bytes.Clone(data)
		w.mu.Unlock()
		return nil
	}
	w.mu.Unlock()
	switch {
	case away:
		return errAway
	case dead:
		return nil
	}
	err := w.Driver.Publish(ctx, topic, data)
	if again && err == nil {
		err = w.Driver.Publish(ctx, topic, data)
	}
	if late != nil && err == nil {
		err = w.Driver.Publish(ctx, topic, late)
	}
	return err
}

// Subscribe implements broker.Driver.
func (w *weather) Subscribe(ctx context.Context, topic string, h broker.Handler) (broker.Subscription, error) {
	s, err := w.Driver.Subscribe(ctx, topic, func(data []byte) {
		w.wait()
		w.mu.Lock()
		lost := w.away || w.dead
		delay := time.Duration(0)
		if w.rough && strings.HasSuffix(topic, ".all") {
			delay = time.Duration(w.rand.Int64N(int64(5 * time.Millisecond))) // what goes to one node overtakes it
		}
		w.mu.Unlock()
		if lost {
			return
		}
		time.Sleep(delay)
		h(data)
	})
	if err != nil {
		return nil, err
	}
	w.set(func(w *weather) { w.subs++ })
	return &subscription{s, sync.OnceFunc(func() { w.set(func(w *weather) { w.subs-- }) })}, nil
}

type subscription struct {
	broker.Subscription
	closed func()
}

func (s *subscription) Close() error {
	s.closed()
	return s.Subscription.Close()
}

// Close implements broker.Driver.
func (w *weather) Close() error {
	err := w.Driver.Close()
	w.set(func(w *weather) { w.subs = 0 }) // it ends them all
	return err
}
