package presence_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/carillonhq/carillon/broker"
)

var errAway = errors.New("the broker is away")

// faults are what befalls the publishes and deliveries of one node. The zero
// value is fair weather.
type faults struct {
	mu     sync.Mutex // guards all
	rand   *rand.Rand
	loss   float64
	twice  float64       // how likely an envelope is delivered twice,
	late   float64       // and takes up to 150 ms instead of 5
	away   bool          // publishes fail, nothing is delivered
	deaf   bool          // nothing is delivered to this node, and it does not know
	mute   bool          // publishes seem to work
	pause  chan struct{} // if not nil, nothing moves before it is closed
	epoch  int           // what is under way when it changes is lost
	record func(topic string, data []byte)
}

func (f *faults) set(change func(f *faults)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// calm ends all that lasts.
func (f *faults) calm() {
	f.set(func(f *faults) {
		f.away, f.mute, f.deaf = false, false, false
		if f.pause != nil {
			close(f.pause)
			f.pause = nil
		}
	})
}

// A faulty driver is a driver in bad weather.
type faulty struct {
	broker.Driver
	*faults
}

func (d faulty) Publish(ctx context.Context, topic string, data []byte) error {
	d.mu.Lock()
	pause := d.pause
	d.mu.Unlock()
	if pause != nil {
		select {
		case <-pause:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.mu.Lock()
	away, lost, twice := d.away, d.mute, false
	if d.rand != nil {
		lost = d.rand.Float64() < d.loss || lost
		twice = d.rand.Float64() < d.twice
	}
	if d.record != nil && !away {
		d.record(topic, data)
	}
	d.mu.Unlock()
	switch {
	case away:
		return errAway
	case lost:
		return nil
	case twice:
		_ = d.Driver.Publish(ctx, topic, data)
	}
	return d.Driver.Publish(ctx, topic, data)
}

func (d faulty) Subscribe(ctx context.Context, topic string, h broker.Handler) (broker.Subscription, error) {
	return d.Driver.Subscribe(ctx, topic, func(data []byte) {
		d.mu.Lock()
		off, pause, epoch := d.away || d.deaf, d.pause, d.epoch
		var delay time.Duration
		if d.rand != nil {
			delay = time.Duration(d.rand.IntN(5000)) * time.Microsecond
			if d.rand.Float64() < d.late {
				delay = time.Duration(d.rand.IntN(150)) * time.Millisecond
			}
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
