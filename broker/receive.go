package broker

import (
	"errors"
	"slices"
	"time"
)

const (
	reorderTime = 40 * time.Millisecond // how long a message may be behind a later one before we ask
	leaveTime   = time.Second           // how long we wait for what a node that said bye sent before
	holdBound   = 4 << 20               // bytes held for one peer before the driver has to wait,
	holdTime    = time.Second           // but no longer than this: then more is dropped, and asked for again
)

// incoming is what has come from a peer. Everything up to cur was handed over
// or given up. A message that names a predecessor beyond cur leaves a hole: it
// is held until the hole is filled. What does not come by itself is asked for,
// sooner if it is certain that it was lost: that is when both topics have
// brought an envelope that says that what is missing had left before.
type incoming struct {
	known bool // cur is
	cur   uint64
	hold  []message     // by seq
	held  int           // bytes
	room  chan struct{} // closed when held is within holdBound, if a reader waits

	target  uint64    // what the peer says has left it for us
	since   time.Time // when the first hole opened, after number stuck
	stuck   uint64
	tries   int       // how often we have asked since
	overrun bool      // what exceeds holdBound is dropped
	left    [2]uint64 // what had left when we were sent the latest envelope to all, to us
	leaving bool      // it said bye
}

// hole returns the end of the first hole, if there is one.
func (in *incoming) hole() (to uint64, open bool) {
	switch {
	case len(in.hold) > 0:
		return in.hold[0].prev, true
	case in.target > in.cur:
		return in.target, true
	}
	return 0, false
}

// lost reports that what is missing up to number to will not come.
func (in *incoming) lost(to uint64) bool { return in.left[0] >= to && in.left[1] >= to }

// receive takes what the driver brings. For each topic it is called one at a
// time, with the topic's decoder.
func (b *Bus) receive(d *decoder, direct bool, data []byte) {
	e, err := d.decode(data)
	if err != nil {
		switch {
		case errors.Is(err, errForeign):
			b.dropped(DropForeign, len(data))
		case errors.Is(err, errVersion):
			b.dropped(DropVersion, len(data))
		default:
			b.dropped(DropMalformed, len(data))
		}
		return
	}
	wrong := !direct && len(e.asks)+len(e.spans) > 0
	for i := range e.messages {
		wrong = wrong || (e.messages[i].flags&msgDirect != 0) != direct
	}
	if wrong {
		b.dropped(DropMalformed, len(data))
		return
	}

	now := time.Now()
	b.mu.Lock()
	if e.sender == b.self.ID {
		lag, ours := b.echoed(e)
		b.mu.Unlock()
		if h := b.opts.Hooks.Lag; h != nil && ours {
			h(b.self, lag)
		}
		return
	}
	p, reason := b.contact(e, now)
	if p == nil {
		b.mu.Unlock()
		b.dropped(reason, len(data))
		if reason == DropNamesake && !b.namesake.Swap(true) {
			b.log.Warn("two living nodes have one name, the older one is ignored; give each a name of its own", "id", e.sender.Short())
		}
		return
	}
	twice := b.take(p, e, direct)
	alien, up := p.alien, p.up
	lag := now.Sub(p.born) - time.Duration(min(e.age, 1<<40))*time.Millisecond
	from, behind := p.member(), b.behind(p)
	lane := p.lane.full()
	hold := p.full()
	b.mu.Unlock()

	if alien {
		b.dropped(DropVersion, len(data))
		if !b.stranger.Swap(true) {
			b.log.Warn("a node speaks no version of the protocol that this one understands, it is ignored", "id", e.sender.Short())
		}
		return
	}
	h := &b.opts.Hooks
	if h.Behind != nil && up && len(e.acks) > 0 {
		h.Behind(from, behind)
	}
	if h.Received != nil {
		h.Received(len(e.messages), len(data))
	}
	if h.Duplicate != nil {
		for range twice {
			h.Duplicate(from)
		}
	}
	if h.Repaired != nil && len(e.spans) > 0 && len(e.messages) > twice {
		h.Repaired(from, len(e.messages)-twice)
	}
	if h.Lag != nil {
		h.Lag(from, max(0, lag))
	}
	if lane != nil {
		b.stall(lane)
	}
	if hold != nil {
		b.linger(p, hold)
	}
}

// linger gives the other topic time to bring what is missing. If it does not,
// this one has to go on: it may be the one that brings the repair.
func (b *Bus) linger(p *peer, hold <-chan struct{}) {
	timer := time.NewTimer(holdTime)
	defer timer.Stop()
	select {
	case <-hold:
	case <-b.ctx.Done():
	case <-timer.C:
		b.mu.Lock()
		p.overrun = p.held > holdBound
		b.mu.Unlock()
	}
}

// full returns nil, or what to wait for before the peer is heard further.
func (in *incoming) full() <-chan struct{} {
	if in.held <= holdBound || in.overrun {
		return nil
	}
	if in.room == nil {
		in.room = make(chan struct{})
	}
	return in.room
}

func (in *incoming) freed() {
	if in.held > holdBound {
		return
	}
	in.overrun = false
	if in.room != nil {
		close(in.room)
		in.room = nil
	}
}

func (b *Bus) dropped(why DropReason, n int) {
	if b.opts.Hooks.Dropped != nil {
		b.opts.Hooks.Dropped(why, n)
	}
}

// stall holds up the driver until there is room in a lane.
func (b *Bus) stall(room <-chan struct{}) {
	b.mu.Lock()
	b.blocked++
	b.mu.Unlock()
	select {
	case <-room:
	case <-b.ctx.Done():
	}
	b.mu.Lock()
	b.blocked--
	if b.blocked == 0 {
		b.amnesty()
	}
	b.mu.Unlock()
}

// take goes through an envelope of p and returns how many of its messages
// were there before. b.mu is held.
func (b *Bus) take(p *peer, e *envelope, direct bool) (twice int) {
	for i := range e.hellos {
		if e.hellos[i].target == b.self.ID {
			if b.greeted(p, &e.hellos[i]); b.peers[p.ID] != p {
				return 0 // it was retired
			}
		}
	}
	if p.alien {
		return 0
	}
	me := b.self.ID.ref()
	for i := range e.messages {
		m := e.messages[i]
		m.prev, m.refs = m.prevFor(me), nil
		if !b.accept(p, m) {
			twice++
		}
	}
	if e.beat != nil {
		p.target = max(p.target, e.beat.headFor(me))
		if e.beat.state&stateDraining != 0 {
			b.drains(p)
		}
	}
	for _, a := range e.acks {
		if a.node == me && a.seq <= b.seq {
			p.acked = max(p.acked, a.seq)
		}
	}
	if e.bye != nil {
		p.target, p.leaving = max(p.target, e.bye.headFor(me)), true
	}
	topic := 0
	if direct {
		topic = 1
	}
	p.left[topic] = max(p.left[topic], e.left)
	if len(e.asks) > 0 {
		b.asked(p, e.asks)
	}
	if len(e.spans) > 0 {
		b.repaired(p, e.spans)
	}
	switch {
	case p.up && p.leaving:
		b.giveUp(p, p.lost)
	case p.up:
		b.watch(p, len(e.spans) > 0 && twice < max(1, len(e.messages)))
	case p.leaving:
		b.retire(p, NodeID{})
	}
	return twice
}

// accept takes one message of p, whose prev is the one for us. It reports
// false if the message was there before. b.mu is held.
func (b *Bus) accept(p *peer, m message) bool {
	if p.known && m.seq <= p.cur {
		return m.null
	}
	i, found := slices.BinarySearchFunc(p.hold, m.seq, func(h message, seq uint64) int {
		switch {
		case h.seq < seq:
			return -1
		case h.seq > seq:
			return 1
		}
		return 0
	})
	if found {
		if h := &p.hold[i]; h.null && !m.null { // what the statement left open
			p.held += len(m.body)
			*h = m
			if p.up {
				b.drain(p)
			}
			return true
		}
		return m.null
	}
	if p.up && i == 0 && m.prev <= p.cur {
		b.advance(p, m)
		b.drain(p)
		return true
	}
	size := itemOverhead + len(m.body)
	if (!p.up || p.overrun) && p.held+size > holdBound {
		p.target = max(p.target, m.seq) // it is missing from now on
		return true
	}
	p.hold = slices.Insert(p.hold, i, m)
	p.held += size
	return true
}

// advance makes m the last message of p. b.mu is held.
func (b *Bus) advance(p *peer, m message) {
	p.cur = m.seq
	if !m.null {
		b.push(p.lane, item{from: p, msg: m})
	}
}

// drain hands over what was held and is next. b.mu is held.
func (b *Bus) drain(p *peer) {
	n := 0
	for ; n < len(p.hold); n++ {
		h := &p.hold[n]
		if h.seq > p.cur {
			if h.prev > p.cur {
				break
			}
			b.advance(p, *h)
		}
		p.held -= itemOverhead + len(h.body)
	}
	if p.hold = slices.Delete(p.hold, 0, n); len(p.hold) == 0 {
		p.hold = nil
	}
	p.freed()
}

// giveUp turns the holes that over tells are hopeless into gaps. b.mu is held.
func (b *Bus) giveUp(p *peer, over func(to uint64) bool) {
	for to, open := p.hole(); open && over(to); to, open = p.hole() {
		b.gap(p, to)
		b.drain(p)
	}
	b.watch(p, false)
}

// gap gives up what is missing up to number to. b.mu is held.
func (b *Bus) gap(p *peer, to uint64) {
	if to <= p.cur {
		return
	}
	b.push(p.lane, item{from: p, ev: &Event{Kind: Gap, Node: p.member(), From: p.cur, To: to}})
	p.cur = to
}

// patience is how long a hole may stay open: a node that beats and does not
// answer all that time is as good as gone.
func (b *Bus) patience(p *peer) time.Duration {
	if p.leaving {
		return leaveTime
	}
	return 3 * downBeats * b.opts.Heartbeat
}
