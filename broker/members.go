package broker

import (
	"slices"
	"sync/atomic"
	"time"
)

const (
	downBeats   = 5 // a node is down after so many beats of silence
	echoBeats   = 3 // and this node is frozen after so many without its own echo
	lateTick    = 400 * time.Millisecond
	askInterval = 200 * time.Millisecond // between two requests for a peer's hello
	maxPeers    = 1024
	maxTombs    = 4096
)

// members is who is there.
//
// The first envelope of an unknown node makes a peer: from then on all that
// this node says counts for it, beginning after base. Both tell each other
// that base in a hello to the other's topic, and ask for it until they have
// it. Such a hello names its target, so it also proves that its sender is
// alive now and hears us; with it, the peer is up. What the peer said
// meanwhile was held, and follows NodeUp. A peer subscribes before it speaks,
// so from NodeUp on nothing that is said to it passes it by.
type members struct {
	peers  map[NodeID]*peer
	shorts map[string]*peer // those that are up, by NodeID.Short
	tombs  map[NodeID]*tomb
	yard   []*tomb // the oldest first; those that came back are skipped

	nextBeat time.Time
	echo     uint64 // the uptime, in ms, at which the newest own envelope was sent that came back
	frozen   bool

	blocked int // readers that wait for a lane: what seems to be missing may be behind them
}

// A peer is another node, from its first envelope until it leaves.
type peer struct {
	Member
	ref   uint32
	up    bool
	alien bool      // no version of the protocol is understood by both
	pn    uint64    // the greatest seen; only a greater one is a sign of life
	heard time.Time // the last sign of life
	born  time.Time // when its process began, at the latest
	ask   time.Time // when to ask again for a hello, or for what is missing
	lane  *lane

	draining atomic.Bool // Member.Draining

	// What we say to it.
	out            *topic
	base, basePrev uint64 // it is told nothing before base, and missed nothing between the two
	lastDirect     uint64 // the last message to it alone,
	headDirect     uint64 // and the last one of those that the broker has
	evicted        uint64 // and the last one that is kept no more
	acked          uint64 // it has all up to here

	incoming
}

// member returns the node as it is now. It needs no lock once the peer was up.
func (p *peer) member() Member {
	m := p.Member
	m.Draining = p.draining.Load()
	return m
}

// behind returns how many numbers p is behind us, some of which may be for
// others. b.mu is held.
func (b *Bus) behind(p *peer) uint64 {
	last := max(p.lastDirect, b.lastAll, p.base)
	return last - min(last, max(p.acked, p.base))
}

// A tomb is what is remembered of a node that left, should it come back.
type tomb struct {
	id         NodeID
	died       time.Time
	pn         uint64
	known      bool
	cur        uint64
	lastDirect uint64
	evicted    uint64
	heir       NodeID // the node that took its name, if that was why
	lane       *lane
}

// contact returns the peer that sent e, or why e is to be dropped. b.mu is held.
func (b *Bus) contact(e *envelope, now time.Time) (*peer, DropReason) {
	born := now.Add(-time.Duration(min(e.age, 1<<40)) * time.Millisecond)
	if p := b.peers[e.sender]; p != nil {
		if e.pn > p.pn {
			p.pn, p.heard = e.pn, now
		}
		if born.Before(p.born) {
			p.born = born
		}
		return p, ""
	}
	t := b.tombs[e.sender]
	if e.bye != nil || t != nil && e.pn <= t.pn {
		return nil, DropStale
	}
	if t != nil {
		if heir := b.peers[t.heir]; heir != nil && heir.up {
			if now.Sub(t.died) > downBeats*b.opts.Heartbeat {
				return nil, DropNamesake // it is not just slow to die
			}
			return nil, DropStale
		}
	}
	if len(b.peers) >= maxPeers {
		return nil, DropCrowded
	}

	p := &peer{Member: Member{ID: e.sender}, ref: e.sender.ref(), pn: e.pn, heard: now, born: born, ask: now.Add(askInterval)}
	p.base, p.basePrev = b.seq, b.seq
	if t != nil {
		// It may not know that it was gone, so its numbers go on.
		p.lane, p.known, p.cur, p.lastDirect = t.lane, t.known, t.cur, t.lastDirect
		p.headDirect, p.evicted = t.lastDirect, t.evicted
		p.basePrev = max(b.lastAll, t.lastDirect)
		delete(b.tombs, p.ID)
	} else {
		p.lane = new(lane)
		p.evicted = p.base // whatever it was told before we forgot it
	}
	p.out = &topic{name: b.topicNode + p.ID.String(), peer: p, hello: true, packer: packer{off: b.opts.Compression.Off}}
	b.peers[p.ID] = p
	b.pump(p.out)
	b.look()
	return p, ""
}

// greeted handles a hello of p to us. b.mu is held.
func (b *Bus) greeted(p *peer, h *hello) {
	if h.oldest > version || h.latest < oldest {
		p.alien = true
		return
	}
	if h.flags&helloWant != 0 {
		p.out.hello, b.all.beat = true, true
		b.pump(p.out)
		b.pump(b.all)
	}
	if !p.up {
		p.Name, p.Protocol, p.Caps = h.name, min(h.latest, version), h.caps
		if h.flags&helloDraining != 0 {
			p.draining.Store(true)
		}
		if !b.inherit(p) {
			return
		}
		p.up = true
		b.shorts[p.ID.Short()] = p
		b.push(p.lane, item{from: p, ev: &Event{Kind: NodeUp, Node: p.member()}})
	}
	if !p.known {
		p.known, p.cur = true, h.base
	}
	b.accept(p, message{null: true, seq: h.base, prev: h.prev})
	b.drain(p)
}

// drains notes that p is about to leave. b.mu is held.
func (b *Bus) drains(p *peer) {
	if !p.draining.Swap(true) && p.up {
		b.push(p.lane, item{from: p, ev: &Event{Kind: NodeDraining, Node: p.member()}})
	}
}

// inherit retires the peer whose name p bears too, or p, whichever process
// began earlier: it is the former self of the other. b.mu is held.
func (b *Bus) inherit(p *peer) bool {
	for _, o := range b.peers {
		if o == p || !o.up || o.Name != p.Name {
			continue
		}
		if c := o.born.Compare(p.born); c > 0 || c == 0 && slices.Compare(o.ID[:], p.ID[:]) > 0 {
			b.retire(p, o.ID)
			return false
		}
		b.retire(o, p.ID)
		break // no two that are up share a name
	}
	return true
}

// retire makes p a thing of the past. b.mu is held.
func (b *Bus) retire(p *peer, heir NodeID) {
	p.leaving = false
	if p.up {
		b.giveUp(p, func(uint64) bool { return true })
		b.push(p.lane, item{from: p, ev: &Event{Kind: NodeDown, Node: p.member()}})
		p.up = false
		delete(b.shorts, p.ID.Short())
	}
	p.hold, p.held = nil, 0
	p.freed()
	b.bury(p.out)
	delete(b.peers, p.ID)
	t := &tomb{p.ID, time.Now(), p.pn, p.known, p.cur, p.lastDirect, p.evicted, heir, p.lane}
	b.tombs[p.ID] = t
	b.yard = append(b.yard, t)
	if len(b.yard) > maxTombs {
		if old := b.yard[0]; b.tombs[old.id] == old {
			delete(b.tombs, old.id)
		}
		b.yard = b.yard[1:]
	}
}

// echoed notes that an envelope of our own came back, and how long it took.
// b.mu is held.
func (b *Bus) echoed(e *envelope) (lag time.Duration, ours bool) {
	up := b.uptime()
	if e.pn > b.pn || e.age > up {
		return 0, false // whatever it says
	}
	b.echo = max(b.echo, e.age)
	if h := uint64(b.opts.Heartbeat.Milliseconds()); b.frozen && 2*(up-b.echo) < 3*h {
		b.frozen = false
		b.push(&b.lane, item{ev: &Event{Kind: Thawed, Node: b.self}})
		b.amnesty()
	}
	return time.Duration(up-e.age) * time.Millisecond, true
}

// deaf reports that this node may be the one who is cut off, so that the
// silence of others proves nothing. b.mu is held.
func (b *Bus) deaf() bool { return b.frozen || len(b.roles) > 0 || b.blocked > 0 }

// amnesty follows the end of that. b.mu is held.
func (b *Bus) amnesty() {
	now := time.Now()
	for _, p := range b.peers {
		p.heard = now
		if !p.since.IsZero() {
			p.since = now
		}
	}
}
