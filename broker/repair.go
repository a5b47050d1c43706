package broker

import (
	"math/rand/v2"
	"time"
)

const (
	maxHoles   = 32       // in one request for repair
	repairPage = 64 << 10 // bytes of messages in its answer, unless one alone has more

	repairedTime = 5 * time.Millisecond   // from a repair that helped to asking for the rest
	askAgain     = 120 * time.Millisecond // the first wait for an answer, which doubles with every try
	askLimit     = 2 * time.Second
)

// A hole is what a node misses of another: after number base, up to and
// including number upto.
type hole struct{ base, upto uint64 }

// A span answers a hole: what lay after base up to lost is lost. What follows
// stands in the envelope, as messages to the one who asked, each naming the one
// before it; the last is number last. Between that and upto is nothing for it.
type span struct{ base, lost, last, upto uint64 }

// holes appends what is missing of p to hs. b.mu is held.
func (p *peer) holes(hs []hole) []hole {
	last := p.cur
	for i := range p.hold {
		h := &p.hold[i]
		if h.prev > last {
			if hs = append(hs, hole{last, h.prev}); len(hs) == maxHoles {
				return hs
			}
		}
		last = max(last, h.seq)
	}
	if p.target > last {
		hs = append(hs, hole{last, p.target})
	}
	return hs
}

// watch looks whether something of p is missing, and sees to it that the clock
// asks for it: soon, or at once if it is certain that waiting does not help.
// With helped, a repair has just brought a part. b.mu is held.
func (b *Bus) watch(p *peer, helped bool) {
	to, open := p.hole()
	switch {
	case !open:
		p.since = time.Time{}
		if p.leaving && b.peers[p.ID] == p {
			b.retire(p, NodeID{})
		}
		return
	case helped:
		p.since, p.stuck, p.tries = time.Now(), p.cur, 0
		p.ask = p.since.Add(repairedTime)
	case p.since.IsZero() || p.cur != p.stuck:
		p.since, p.stuck, p.tries = time.Now(), p.cur, 0
		p.ask = p.since.Add(reorderTime)
	case p.tries > 0 || !p.lost(to):
		return
	}
	if p.tries == 0 && p.lost(to) && !helped {
		p.ask = time.Now()
	}
	b.look()
}

// askFor has p asked for what is missing. b.mu is held.
func (b *Bus) askFor(p *peer, now time.Time) {
	wait := min(askAgain<<min(p.tries, 10), askLimit)
	p.tries++
	p.ask = now.Add(wait + rand.N(wait/4)) // jitter: after an outage all ask
	p.out.nak = true
	b.pump(p.out)
}

// asked notes what p misses, which goes with the next envelope to it. b.mu is held.
func (b *Bus) asked(p *peer, hs []hole) {
	p.out.repair = append(p.out.repair[:0], hs...)
	b.pump(p.out)
}

// page fills e with the answer to hs, as much as fits. b.mu is held.
func (b *Bus) page(p *peer, hs []hole, e *envelope) {
	e.spans, e.messages = e.spans[:0], e.messages[:0]
	room := min(repairPage, b.limit/2)
	for _, h := range hs {
		s := span{base: h.base, lost: h.base, upto: min(h.upto, b.seq)}
		if s.upto <= s.base {
			continue
		}
		s.lost = max(s.lost, min(s.upto, max(b.ring.evictedAll, p.evicted)))
		s.last = s.lost
		full := false
		for seq := b.ring.from(s.lost + 1); seq <= s.upto; seq++ {
			en := b.ring.find(seq)
			if en == nil || en.to != (NodeID{}) && en.to != p.ID {
				continue
			}
			if en.state == husk && s.last == s.lost {
				s.lost, s.last = seq, seq
				continue
			}
			if full = en.state == husk || en.size() > room && len(e.messages) > 0; full {
				s.upto = s.last // it will ask for the rest
				break
			}
			room -= en.size()
			m := en.message
			m.flags |= msgDirect
			m.prev, m.refs = s.last, nil
			e.messages = append(e.messages, m)
			s.last = seq
		}
		if s.upto > s.base {
			e.spans = append(e.spans, s)
		}
		if full {
			break
		}
	}
}

// from returns seq, or the number of the oldest entry if seq is before it.
func (r *ring) from(seq uint64) uint64 {
	if e := r.first(); e != nil {
		return max(seq, e.seq)
	}
	return seq
}

// repaired follows what the messages of a repair have already filled: it turns
// into gaps what is lost, and closes what was empty. b.mu is held.
func (b *Bus) repaired(p *peer, spans []span) {
	for _, s := range spans {
		if p.up && s.base <= p.cur {
			b.skip(p, s.lost)
		}
		if s.upto > s.last {
			b.accept(p, message{null: true, seq: s.upto, prev: s.last})
		}
	}
	if p.up {
		b.drain(p)
	}
}

// skip gives up what is missing up to number to, and hands over the rest of it.
// b.mu is held.
func (b *Bus) skip(p *peer, to uint64) {
	b.drain(p)
	for p.cur < to {
		next := to
		if len(p.hold) > 0 {
			next = min(next, p.hold[0].prev)
		}
		b.gap(p, next)
		b.drain(p)
	}
}
