package presence

import (
	"math/rand/v2"
	"time"

	"github.com/carillonhq/carillon/broker"
)

const (
	askJitter = 200 * time.Millisecond // what is missing is often missing at all nodes
	askAgain  = 2 * time.Second        // after the latest part of an answer
	askLimit  = 15 * time.Second
)

// miss has n asked at a time for what is missing, unless it was already.
// t.mu is held.
func (t *Tracker) miss(n *origin, at time.Time) {
	if n.need || n.down {
		return
	}
	n.need, n.ask, n.tries, n.doubt = true, at, 0, true
	t.look()
}

// found ends that.
func (n *origin) found() {
	n.need, n.doubt, n.differs, n.nonce, n.tries, n.partial = false, false, false, 0, 0, nil
}

// question returns what to ask n. Its nonce makes sure that only the answer to
// this very question is taken for one. t.mu is held.
func (t *Tracker) question(n *origin, now time.Time) (m message, all bool) {
	for n.nonce = 0; n.nonce == 0; {
		n.nonce = rand.Uint64()
	}
	n.ask = now.Add(min(askAgain<<min(n.tries, 3), askLimit))
	n.tries++
	n.partial = nil
	m = message{kind: kindPull, nonce: n.nonce}
	if n.unsynced == 0 && n.tries == 1 && !n.differs {
		m.first = n.seq // what came after may be enough
	}
	if n.devices > 0 {
		d := n.digests
		m.digests = d[:]
	}
	return m, n.unsynced == allShards
}

// asked notes what n asks. t.mu is held.
func (t *Tracker) asked(n *origin, m *message) {
	t.pulls[n] = &pull{nonce: m.nonce, have: m.first, digests: m.digests}
	if !t.serving {
		t.serving = true
		t.wg.Go(t.serve) // ends when all are answered, or with the Tracker
	}
}

// page takes what n holds in some shards. t.mu is held.
func (t *Tracker) page(n *origin, ss []section, now time.Time) {
	for i := range ss {
		s := &ss[i]
		if n.coming>>s.shard&1 == 0 {
			continue // it did not announce that
		}
		ds := s.devices
		if s.flags&sectionRest != 0 {
			ds = append(n.partial, ds...)
		}
		n.partial = nil
		if s.flags&sectionMore != 0 {
			n.partial = ds
			continue
		}
		t.replace(n, int(s.shard), ds)
		n.coming &^= 1 << s.shard
		n.unsynced &^= 1 << s.shard
	}
	t.came(n, now)
}

// came follows a part of an answer. What does not come now is asked for when
// the rest is here, so that no more than that is under way. t.mu is held.
func (t *Tracker) came(n *origin, now time.Time) {
	n.ask, n.tries = now.Add(askAgain), 1
	switch {
	case n.unsynced == 0:
		n.found()
	case n.coming == 0:
		n.ask = now
		t.look()
	}
}

// cut follows the link to the broker. t.mu is held.
func (t *Tracker) cut(now time.Time) {
	was := t.deaf
	t.deaf = t.frozen || t.link != broker.Up
	switch {
	case t.deaf && !was:
		for _, n := range t.nodes {
			n.doubt = true
		}
	case was && !t.deaf:
		t.up = now
		t.amnesty(now)
		t.nextBeat = now // say hello
	}
	t.judge()
	t.look()
}

// amnesty gives all that are down their time anew: this node could not hear
// them, nor what became of their users. t.mu is held.
func (t *Tracker) amnesty(now time.Time) {
	for _, n := range t.nodes {
		n.heard = now
		if n.down {
			n.deadline = now.Add(n.window(t.opts.Heartbeat))
		}
	}
}

// expire gives up what is gone, and returns how many users are offline for it.
func (t *Tracker) expire(n *origin) {
	now := time.Now()
	users := 0
	for shard := range shards {
		t.mu.Lock() // for one shard at a time
		before := t.users
		t.clear(n, shard)
		users += before - t.users
		t.mu.Unlock()
	}
	t.log.Info("a node's users are given up", "peer", n.Name, "id", n.ID.Short(), "offline", users)
	if h := t.opts.Hooks.Detected; h != nil {
		h(n.Member, now.Sub(n.heard), users)
	}
}

// judge finds out how far the view can be trusted. t.mu is held.
func (t *Tracker) judge() {
	s := Synced
	now := time.Now()
	pending := false
	for _, n := range t.nodes {
		switch {
		case n.down:
		case n.spoke:
			pending = pending || n.unsynced != 0 || n.doubt
		default: // a node without a Tracker never speaks
			pending = pending || now.Sub(n.met) < 2*t.opts.Heartbeat
		}
	}
	switch {
	case t.deaf:
		s = CutOff
	case pending:
		s = Probation
	}
	if s != t.state {
		t.state = s
		t.note(note{what: noteState, state: s})
	}
	if t.shown {
		return
	}
	if now.Sub(t.self.born) >= readyLimit || !t.deaf && !pending && now.Sub(t.up) >= 2*t.opts.Heartbeat {
		t.shown = true
		close(t.ready)
	}
}

// readyLimit is how long a node that starts waits for the others at most.
const readyLimit = 5 * time.Second
