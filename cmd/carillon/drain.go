package main

import (
	"context"
	"errors"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/socketio"
)

// errDrainTimeout is why a drain ends before it is done.
var errDrainTimeout = errors.New("server.drain.timeout is over")

// drain makes the clients move to other nodes, while this one still works, until
// none is awaited any more and what is kept for them is on other nodes, or ctx
// ends, or the time is over: then it goes there as the server shuts down.
func (b *backend) drain(ctx context.Context) {
	b.draining.Store(true)
	b.users.Drain()
	b.bus.Drain()
	began := time.Now()
	clients := b.io.Sessions()
	d := b.cfg.Server.Drain
	b.logger.Info("draining", "clients", clients, "others", heirs(b.bus.Members()),
		"delay", d.Delay.String(), "period", d.Period.String())
	if d.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d.Timeout, errDrainTimeout)
		defer cancel()
	}
	delay := time.NewTimer(d.Delay)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-ctx.Done():
	}
	opts := socketio.DrainOptions{
		Pace: engineio.Pace{Period: d.Period, Rate: d.Rate, Share: func() int {
			members := b.bus.Members()
			return 1 + len(members) - heirs(members)
		}},
		Heirs:  func() bool { return heirs(b.bus.Members()) > 0 },
		Linger: d.Linger,
	}
	if d.Linger == 0 {
		opts.Linger = -1 // none, where 0 is the default
	}
	err := b.io.Drain(ctx, opts)
	log, attrs := b.logger.Info, []any{"took", time.Since(began).Round(time.Millisecond).String()}
	if left := b.io.Sessions(); left > 0 {
		attrs = append(attrs, "connected", left)
	}
	if parked := b.io.RecoveryStats().Parked; parked > 0 {
		attrs = append(attrs, "kept", parked)
	}
	if err != nil {
		log = b.logger.Warn
		attrs = append(attrs, "because", context.Cause(ctx))
		log("drain cut short: the rest is closed at once", attrs...)
		return
	}
	log("clients told to move", attrs...)
}

// heirs returns how many of some other nodes are there to stay.
func heirs(others []broker.Member) (n int) {
	for _, m := range others {
		if !m.Draining {
			n++
		}
	}
	return n
}

// impatient is the key of a context's context that ends with a second signal.
type impatient struct{}

// impatience returns what bounds the drain of a node that was told to end by ctx.
func impatience(ctx context.Context) context.Context {
	if second, ok := ctx.Value(impatient{}).(context.Context); ok {
		return second
	}
	return context.WithoutCancel(ctx)
}
