package presence

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// An origin is a node and what it holds. It alone says that; the others keep
// its latest word.
type origin struct {
	broker.Member
	key      hashKey
	seq      uint64 // of its latest change that is in the view
	digests  [shards]uint64
	devices  int
	draining bool
	born     time.Time // when its Tracker began, at the latest

	// What follows is of other nodes only.
	spoke    bool          // it has a Tracker
	unsynced uint64        // the shards of which nothing new counts before their page has come
	doubt    bool          // it may have said what we missed: its next beat will tell
	met      time.Time     // when it came up
	heard    time.Time     // when it said what came last, as far as that can be told
	grace    time.Duration // of what it holds
	beat     time.Time     // when its latest beat came
	loss     float64       // the part of its beats that came late, of the latest ones

	down     bool      // it is silent, or has left
	left     bool      // it said goodbye
	gone     bool      // it does not count any more
	deadline time.Time // when it will be gone, if it is down

	need    bool      // something is missing
	differs bool      // and it is none of the latest changes
	ask     time.Time // when to ask for it
	tries   int
	nonce   uint64   // of the latest question, 0 when none is open
	coming  uint64   // the shards that the answer to it has
	partial []device // of a shard of which more follows
}

const (
	downBeats = 5    // the Bus declares a node down after so many beats of silence
	maxBeats  = 20   // and nobody is given up later than this for loss alone
	falseDown = 1e-8 // how likely it may be that a living node is silent for as long as it takes
)

const allShards = math.MaxUint64

func (n *origin) digest() (d uint64) {
	for i := range n.digests {
		d ^= n.digests[i]
	}
	return d
}

// window is how long a node may be silent before its users are offline: its
// grace, or as many beats as it takes to be sure that not all of them were
// lost, at the loss that is measured.
func (n *origin) window(heartbeat time.Duration) time.Duration {
	beats := float64(downBeats)
	if n.loss > 0 {
		beats = min(max(beats, math.Ceil(math.Log(falseDown)/math.Log(n.loss))), maxBeats)
	}
	return max(n.grace, time.Duration(beats*float64(heartbeat)))
}

// hear notes when a message was said, by its sender's clock: one that was held
// up for long proves nothing about now. It returns how much later it came than
// the fastest one.
func (n *origin) hear(uptime uint64, now time.Time) (late time.Duration) {
	const longest = uint64(math.MaxInt64 / time.Millisecond / 2)
	age := time.Duration(min(uptime, longest)) * time.Millisecond
	if born := now.Add(-age); n.born.IsZero() || born.Before(n.born) {
		n.born = born
	}
	said := n.born.Add(age)
	if said.After(n.heard) {
		n.heard = said
	}
	return now.Sub(said)
}

// event follows the other nodes' lives, and this one's link to the broker. The
// Bus calls it in order with each node's messages.
func (t *Tracker) event(e broker.Event) {
	switch e.Kind {
	case broker.NodeUp:
		t.nodeUp(e.Node)
	case broker.NodeDown:
		t.mu.Lock()
		if n := t.nodes[e.Node.ID]; n != nil {
			t.nodeDown(n, time.Now())
		}
		t.judge()
		t.mu.Unlock()
	case broker.Gap:
		t.mu.Lock()
		if n := t.nodes[e.Node.ID]; n != nil {
			n.doubt = true // if it was presence that is missing, the next numbers or the next beat tell
		}
		t.judge()
		t.mu.Unlock()
	case broker.Frozen, broker.Thawed:
		t.mu.Lock()
		t.frozen = e.Kind == broker.Frozen
		t.cut(time.Now())
		t.mu.Unlock()
	case broker.StateChanged:
		t.mu.Lock()
		t.link = e.State
		t.cut(time.Now())
		t.mu.Unlock()
	}
}

// nodeUp greets a node that joined, or came back, with a beat.
func (t *Tracker) nodeUp(m broker.Member) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.meet(m)
	t.judge()
	t.mu.Unlock()
	_ = t.speak(t.beat, t.toNode(m.ID)) // if it has gone, NodeDown follows
}

// meet returns the origin of a node that is up. t.mu is held.
func (t *Tracker) meet(m broker.Member) *origin {
	now := time.Now()
	n := t.nodes[m.ID]
	switch {
	case n == nil:
		n = &origin{Member: m, key: newHashKey(m.ID), unsynced: allShards, met: now, heard: now, grace: t.opts.Grace}
		t.nodes[m.ID] = n
		t.miss(n, now)
	case n.down && !n.left:
		// Its users count still. What it said meanwhile the Bus repairs, or
		// the beat that it greets us with tells.
		n.down, n.doubt = false, true
		n.met, n.heard, n.born = now, now, time.Time{}
		if n.unsynced != 0 {
			t.miss(n, now)
		}
	}
	return n
}

// nodeDown lets what a node holds count for its grace. t.mu is held.
func (t *Tracker) nodeDown(n *origin, now time.Time) {
	if !n.down {
		n.down = true
		n.deadline = n.heard.Add(n.window(t.opts.Heartbeat))
	}
	n.need, n.nonce, n.partial = false, 0, nil
	if n.devices == 0 {
		n.gone = true
		delete(t.nodes, n.ID)
	}
	t.look()
}

// receive takes what another node says.
func (t *Tracker) receive(msg broker.Message) {
	m, err := decode(msg.Body)
	if err != nil {
		t.log.Warn("a message about presence could not be read", "peer", msg.From.Name, "err", err)
		if h := t.opts.Hooks.Malformed; h != nil {
			h(msg.From, err)
		}
		return
	}
	now := time.Now()
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	n := t.meet(msg.From)
	n.spoke = true
	late := n.hear(m.uptime, now)
	switch m.kind {
	case kindOps:
		t.apply(n, m.first, m.ops, now)
	case kindBeat:
		t.compare(n, &m, late, now)
	case kindPull:
		t.asked(n, &m)
	case kindRange:
		if n.nonce == m.nonce && n.nonce != 0 {
			t.apply(n, m.first, m.ops, now)
			n.found()
		}
	case kindAnswer:
		if n.nonce == m.nonce && n.nonce != 0 {
			n.seq, n.coming, n.unsynced, n.partial = m.first, m.now, m.now|m.later, nil
			t.came(n, now)
		}
	case kindPage:
		if n.nonce == m.nonce && n.nonce != 0 {
			t.page(n, m.sections, now)
		}
	case kindBye:
		n.left = true
		n.grace = graceOf(m.grace)
		n.down, n.deadline = true, now.Add(n.grace)
		t.nodeDown(n, now)
	}
	t.judge()
	pending := t.flushed < t.self.seq
	t.mu.Unlock()
	if pending {
		t.flush() // a user who was seen elsewhere
	}
	if h := t.opts.Hooks.Delay; h != nil {
		h(msg.From, late)
	}
}

func graceOf(ms uint64) time.Duration {
	return min(time.Duration(min(ms, 1<<40))*time.Millisecond, maxGrace)
}

// apply takes changes, of which the first has number first, as far as they
// follow what is known. t.mu is held.
func (t *Tracker) apply(n *origin, first uint64, ops []device, now time.Time) {
	if n.unsynced == allShards {
		return // all of it is in the pages that will come
	}
	for i := range ops {
		switch s := first + uint64(i); {
		case s <= n.seq: // known
		case s > n.seq+1:
			// To take it would be to put it before what is missing.
			t.miss(n, now.Add(rand.N(askJitter)))
			return
		default:
			n.seq = s
			if n.unsynced>>shardOf(cellOf(ops[i].user()))&1 == 0 {
				t.take(n, &ops[i])
			}
		}
	}
}

// take makes d true of n, and sees to what that means for this node's own
// devices. t.mu is held.
func (t *Tracker) take(n *origin, d *device) {
	user := d.user()
	e := t.put(n, d)
	if d.flags&(flagGone|flagLost) == flagGone { // a goodbye
		t.goodbye(user)
	}
	if !d.live() || t.self.devices == 0 {
		return
	}
	if len(t.lingering) > 0 {
		for o := t.head(user); o != nil; o = o.next {
			if l := t.lingering[o]; l != nil && e.tracked().After(l.begin) {
				l.seen = true
			}
		}
	}
	if o := t.find(user, &t.self, d); o != nil && o.live() && t.older(o, e) {
		if h := t.holds[o]; h != nil {
			t.replaced(h, n.Member)
		}
	}
}

// sameTime is how far apart two nodes must have tracked a device for their
// clocks to tell which was first.
const sameTime = time.Second

// older reports whether own, a device of this node, is the older place of
// what other is on another node. Both nodes come to the same answer.
// t.mu is held.
func (t *Tracker) older(own, other *entry) bool {
	if d := other.tracked().Sub(own.tracked()); d > sameTime || d < -sameTime {
		return d > 0
	}
	if took := other.flags & flagTook; took != own.flags&flagTook {
		return took != 0 // it knew of ours
	}
	return string(other.node.ID[:]) > string(t.self.ID[:])
}

// compare looks whether a beat says what is known. t.mu is held.
func (t *Tracker) compare(n *origin, m *message, late time.Duration, now time.Time) {
	n.draining = m.flags&beatDraining != 0
	n.grace = graceOf(m.grace)
	n.measure(late, t.deaf, now, t.opts.Heartbeat)
	switch {
	case n.unsynced != 0: // the pages are on their way
	case n.seq == m.first && n.digest() == m.digest:
		n.found()
	default:
		n.differs = n.differs || n.seq >= m.first
		t.miss(n, now.Add(rand.N(askJitter)))
	}
}

// measure learns from a beat how many of a node's are lost: one that was
// repaired comes late. Those that it held up come with it, and count as little
// as what comes while it is this node that hears badly.
func (n *origin) measure(late time.Duration, deaf bool, now time.Time, heartbeat time.Duration) {
	burst := now.Sub(n.beat) < heartbeat/2
	n.beat = now
	if burst || deaf {
		return
	}
	sample := 0.0
	if late > heartbeat/4 {
		sample = 1
	}
	n.loss += (sample - n.loss) / 16
}
