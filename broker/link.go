package broker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// links is what is known of the way to the broker.
type links struct {
	state  State
	linked bool            // the driver tells of its links; else publishes tell
	roles  map[string]bool // the links that are down
	tries  map[string]int  // the retries of each, as far as they were logged
	spent  bool            // beyond Retry.Retries in this outage
}

const joinTimeout = 10 * time.Second // of every attempt but the first

// join opens the driver and subscribes to the topics of this node.
func (b *Bus) join(ctx context.Context) error {
	d, err := b.open(ctx)
	if err != nil {
		return err
	}
	l, linked := d.(Linked)
	limit := maxEnvelope
	if l, ok := d.(Limited); ok && l.Limits().MaxMessage > 0 {
		limit = min(limit, l.Limits().MaxMessage)
	}
	if limit < minLimit {
		return errors.Join(fmt.Errorf("broker: the driver takes %d bytes at a time, at least %d are needed", limit, minLimit), d.Close())
	}
	b.mu.Lock()
	b.linked, b.limit = linked, limit
	clear(b.roles)
	b.mu.Unlock()
	if linked {
		l.OnLink(b.onLink)
	}
	for _, direct := range []bool{true, false} {
		topic := b.topicAll
		if direct {
			topic = b.topicNode + b.self.ID.String()
		}
		dec := &decoder{tag: b.tag}
		if _, err := d.Subscribe(ctx, topic, func(data []byte) { b.receive(dec, direct, data) }); err != nil {
			return errors.Join(err, d.Close())
		}
	}

	b.mu.Lock()
	if b.ended {
		b.mu.Unlock()
		return errors.Join(ErrClosed, d.Close())
	}
	b.driver = d
	b.echo = b.uptime()
	b.setState(b.linkState())
	b.all.hello, b.all.beat = true, true
	b.pumpEverything()
	b.mu.Unlock()
	b.log.Info("connected to the broker")
	return nil
}

// keepJoining tries until the broker appears, or the Bus ends.
func (b *Bus) keepJoining() bool {
	for n := 1; ; n++ {
		b.mu.Lock()
		giveUp := b.opts.Retry.Exhausted(n) && !b.spent
		if giveUp {
			b.spent = true
			b.setState(Degraded)
		}
		b.mu.Unlock()
		if giveUp {
			b.log.Error("the broker stays away, this node is degraded: it serves locally and goes on trying", "tries", n-1)
		}
		timer := time.NewTimer(b.opts.Retry.Wait(n))
		select {
		case <-timer.C:
		case <-b.ctx.Done():
			timer.Stop()
			return false
		}
		b.log.Info("reconnecting", "try", n)
		ctx, cancel := context.WithTimeout(b.ctx, joinTimeout)
		err := b.join(ctx)
		cancel()
		if err == nil {
			return true
		}
		b.log.Debug("the broker is still unreachable", "try", n, "err", err)
	}
}

func (b *Bus) linkHook(l Link) {
	if b.opts.Hooks.Link != nil {
		b.opts.Hooks.Link(l)
	}
}

// onLink hears of the driver's links.
func (b *Bus) onLink(l Link) {
	b.mu.Lock()
	say := b.link(l)
	b.mu.Unlock()
	say()
}

// publishLink is how a driver that tells nothing of its links is understood.
// b.mu is held; what it returns is to be called without.
func (b *Bus) publishLink(try int, err error) (say func()) {
	if b.linked || b.ctx.Err() != nil || errors.Is(err, ErrTooLarge) {
		return func() {}
	}
	return b.link(Link{Up: err == nil, Attempt: try, Err: err})
}

// link follows one link through its outages. b.mu is held; what it returns,
// the log, is to be called without.
func (b *Bus) link(l Link) (say func()) {
	log := b.log
	if l.Role != "" {
		log = log.With("role", l.Role)
	}
	down := b.roles[l.Role]
	switch {
	case l.Up && !down:
		return func() {}
	case l.Up:
		delete(b.roles, l.Role)
		delete(b.tries, l.Role)
		if len(b.roles) == 0 {
			b.spent = false
			if b.driver != nil {
				b.restored()
			}
		}
		return func() {
			b.linkHook(l)
			log.Info("broker is back")
		}
	}

	b.roles[l.Role] = true
	more := l.Attempt > b.tries[l.Role]
	b.tries[l.Role] = max(b.tries[l.Role], l.Attempt)
	spent := b.opts.Retry.Exhausted(l.Attempt) && !b.spent
	b.spent = b.spent || spent
	quiet := b.spent && !spent
	if b.driver != nil {
		b.setState(b.linkState())
	}
	return func() {
		b.linkHook(l)
		if !down {
			log.Warn("lost the broker", "err", l.Err)
		}
		if more && !quiet {
			log.Info("reconnecting", "try", l.Attempt, "err", l.Err)
		}
		if spent {
			log.Error("the broker stays away, this node is degraded: it serves locally and goes on trying", "tries", l.Attempt-1, "err", l.Err)
		}
	}
}

// linkState is the state of a joined Bus. b.mu is held.
func (b *Bus) linkState() State {
	switch {
	case len(b.roles) == 0:
		return Up
	case b.spent:
		return Degraded
	default:
		return Down
	}
}

// restored follows the end of an outage. b.mu is held.
func (b *Bus) restored() {
	b.setState(Up)
	b.amnesty()
	b.wakeAll()
	b.all.hello, b.all.beat = true, true
	b.pumpEverything()
}

// setState tells the watchers of a change. b.mu is held.
func (b *Bus) setState(s State) {
	if b.state == s || b.ended {
		return
	}
	b.state = s
	b.push(&b.lane, item{ev: Event{Kind: StateChanged, Node: b.self, State: s}})
}

// publishWait is the wait after try failed. A link that is known to be down
// follows the policy of reconnecting; else it may be a hiccup. b.mu is held.
func (b *Bus) publishWait(try int) time.Duration {
	if b.linked && len(b.roles) > 0 {
		return b.opts.Retry.Wait(try)
	}
	return min(20*time.Millisecond<<min(try-1, 10), 400*time.Millisecond)
}

// pumpEverything starts all topics that have something to send. b.mu is held.
func (b *Bus) pumpEverything() {
	b.pump(b.all)
	for _, p := range b.peers {
		b.pump(p.out)
	}
}

func (b *Bus) uptime() uint64 { return uint64(time.Since(b.born).Milliseconds()) }
