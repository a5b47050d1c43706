package brokertest

import (
	"context"
	"sync/atomic"

	"github.com/carillonhq/carillon/broker"
)

// A Severed is a driver that can be cut off from its broker without noticing:
// what it publishes reaches nobody, and it hears nothing. So a node within a
// test's process dies without a word, as by SIGKILL, or seems to, and is back.
type Severed struct {
	broker.Driver
	off atomic.Bool
}

// Sever returns a driver that is not cut off yet.
func Sever(d broker.Driver) *Severed { return &Severed{Driver: d} }

// Cut cuts it off, or ends that.
func (s *Severed) Cut(off bool) { s.off.Store(off) }

// Publish implements broker.Driver.
func (s *Severed) Publish(ctx context.Context, topic string, data []byte) error {
	if s.off.Load() {
		return nil
	}
	return s.Driver.Publish(ctx, topic, data)
}

// Subscribe implements broker.Driver.
func (s *Severed) Subscribe(ctx context.Context, topic string, h broker.Handler) (broker.Subscription, error) {
	return s.Driver.Subscribe(ctx, topic, func(data []byte) {
		if !s.off.Load() {
			h(data)
		}
	})
}
