package broker

import (
	"math/rand/v2"
	"time"
)

// keepTime does what is due: beats, verdicts on silent nodes, questions, and the end
// of patience with what is missing.
func (b *Bus) keepTime(join bool) {
	if join && !b.keepJoining() {
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var beat time.Time
	for {
		select {
		case <-timer.C:
		case <-b.kick:
		case <-b.ctx.Done():
			return
		}
		timer.Reset(time.Until(b.due(time.Now())))
		if kept := b.opts.Hooks.Kept; kept != nil {
			b.mu.Lock()
			bytes, waiting, next := b.ring.bytes, b.ring.queued, b.nextBeat
			b.mu.Unlock()
			if next != beat {
				beat = next
				kept(bytes, waiting)
			}
		}
	}
}

// look makes the clock see a new deadline.
func (b *Bus) look() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// due does what is due at now, and returns when something will be next.
func (b *Bus) due(now time.Time) (next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return now.Add(time.Hour)
	}
	if !now.Before(b.nextBeat) {
		b.tick(now)
	}
	next = b.nextBeat
	for _, p := range b.peers {
		if len(p.out.repair) > 0 {
			if b.pump(p.out); !p.out.busy {
				next = earlier(next, b.budget.when(now))
			}
		}
		_, open := p.hole()
		// While we are deaf, what is missing may be behind what we cannot hear;
		// unless a reader waits for this very hole.
		wait := b.deaf() && (p.room == nil || b.blocked > 0)
		if open && p.up && !wait && now.Sub(p.since) >= b.patience(p) {
			b.giveUp(p, func(uint64) bool { return true })
			_, open = p.hole()
		}
		if !open && p.up || p.alien || b.peers[p.ID] != p {
			continue
		}
		if p.leaving && p.up {
			if !wait {
				next = earlier(next, p.since.Add(leaveTime)) // it answers no more
			}
			continue
		}
		if !now.Before(p.ask) {
			if p.up {
				b.askFor(p, now)
			} else {
				p.ask = now.Add(askInterval)
				p.out.hello = true
				b.pump(p.out)
			}
		}
		next = earlier(next, p.ask)
	}
	return next
}

// tick beats, and judges those that did not. b.mu is held.
func (b *Bus) tick(now time.Time) {
	h := b.opts.Heartbeat
	late := !b.nextBeat.IsZero() && now.Sub(b.nextBeat) > lateTick
	b.nextBeat = now.Add(h + time.Duration((rand.Float64()-0.5)*0.2*float64(h))) // ±10 %, so that nodes do not beat as one
	b.expireGathers(now)
	b.expire()

	if up := b.uptime(); !b.frozen && (late || up-min(b.echo, up) > uint64((echoBeats*h).Milliseconds())) {
		b.frozen = true
		b.push(&b.lane, item{ev: &Event{Kind: Frozen, Node: b.self}})
	}
	b.all.beat = true
	b.pump(b.all)

	if b.deaf() {
		return
	}
	for _, p := range b.peers {
		if now.Sub(p.heard) > downBeats*h {
			b.retire(p, NodeID{})
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
