package broker

import (
	"fmt"
	"time"
)

const (
	maxEnvelope    = 256 << 10              // bytes of one envelope, unless the driver states less,
	minLimit       = 64 << 10               // which must not be less than this
	maxFlight      = 16                     // publishes under way at a time
	publishTimeout = 700 * time.Millisecond // and another second for every MiB
)

// outbox is what this node has said and the broker has not taken yet. Every
// message gets its number, and the number before it, at once and under one
// lock; so neither the order in which the topics are emptied nor a repeated
// envelope can change the order of messages. While a publish to a topic is
// under way, all that comes for the topic meanwhile forms the next envelope:
// an idle bus adds no delay, a busy one makes large envelopes.
type outbox struct {
	seq     uint64            // the last number given
	lastAll uint64            // the last message to all
	headAll uint64            // the last one of them that the broker has
	refs    map[uint32]uint64 // nodes that were sent something since lastAll, and its number
	pn      uint64
	budget  budget
	ring    ring
	limit   int // bytes of the largest envelope

	all  *topic
	busy int           // topics with a goroutine
	idle chan struct{} // closed when busy falls to 0, if somebody waits
	wake chan struct{} // closed when the broker is back, if somebody waits
}

// A topic is a queue of messages on their way to one topic of the broker.
type topic struct {
	name             string
	peer             *peer    // nil: the topic of all
	queue            []uint64 // numbers of messages in the ring
	first            uint64   // the first message of the envelope under way, if any
	hello, beat, bye bool     // to go with the next envelope
	nak              bool     // so does a request for what is missing,
	repair           []hole   // and the answer to such a request, in an envelope of its own
	busy             bool     // a goroutine empties it
	dead             bool     // nobody listens any more
	packer           packer   // of the goroutine
}

// waits reports whether something can go to t now. b.mu is held.
func (b *Bus) waits(t *topic) bool {
	return len(t.queue) > 0 || t.hello || t.beat || t.bye || t.nak || len(t.repair) > 0 && b.budget.ready(time.Now())
}

// admit makes room for m to n nodes, or to all if n is 0. b.mu is held.
func (b *Bus) admit(m *message, n int) error {
	if b.closing {
		return ErrClosed
	}
	size := b.parts(m)*entryOverhead + len(m.body)
	if size > b.opts.Buffer {
		return fmt.Errorf("%w: %d bytes do not fit into Options.Buffer", ErrTooLarge, len(m.body))
	}
	if n == 0 {
		size += 16 * len(b.refs)
	}
	if !b.makeRoom(max(n, 1) * size) {
		return ErrOverflow
	}
	return nil
}

// toAll queues m for every other node. b.mu is held.
func (b *Bus) toAll(m message) error {
	if len(b.peers) == 0 {
		if b.closing {
			return ErrClosed
		}
		if len(b.tombs) > 0 {
			// A node that we hold down may be alive and come back. It
			// will then ask for what it missed.
			if err := b.admit(&m, 0); err != nil {
				return err
			}
			for more := true; more; {
				var part message
				part, more = b.next(&m)
				b.lastAll = b.seq
				b.ring.add(entry{message: part, at: b.uptime(), state: sent})
			}
			clear(b.refs)
		}
		return nil
	}
	if err := b.admit(&m, 0); err != nil {
		return err
	}
	for more := true; more; {
		var part message
		part, more = b.next(&m)
		part.prev = b.lastAll
		if len(b.refs) > 0 {
			part.refs = make([]ref, 0, len(b.refs))
			for node, seq := range b.refs {
				part.refs = append(part.refs, ref{node, seq})
			}
			clear(b.refs)
		}
		b.lastAll = b.seq
		b.enqueue(b.all, NodeID{}, part)
	}
	return nil
}

// toNode queues m for p. b.mu is held.
func (b *Bus) toNode(p *peer, m message) error {
	if err := b.admit(&m, 1); err != nil {
		return err
	}
	b.numbered(p, m)
	return nil
}

// numbered queues an admitted m for p.
func (b *Bus) numbered(p *peer, m message) {
	m.flags |= msgDirect
	for more := true; more; {
		var part message
		part, more = b.next(&m)
		part.prev = max(p.lastDirect, b.lastAll, p.base)
		p.lastDirect = b.seq
		b.refs[p.ref] = b.seq
		b.enqueue(p.out, p.ID, part)
	}
}

func (b *Bus) enqueue(t *topic, to NodeID, m message) {
	b.ring.add(entry{message: m, to: to})
	t.queue = append(t.queue, m.seq)
	b.pump(t)
}

// bury takes what waits for a node that is gone out of its queue. It stays in
// the ring, should the node come back. b.mu is held.
func (b *Bus) bury(t *topic) {
	t.dead = true
	for _, seq := range t.queue {
		b.ring.settle(seq, b.uptime())
	}
	t.queue, t.repair = nil, nil
}

// awaitIdle waits until nothing is waiting for the broker, or for timeout.
func (b *Bus) awaitIdle(timeout <-chan time.Time) bool {
	b.mu.Lock()
	if b.busy == 0 {
		b.mu.Unlock()
		return true
	}
	if b.idle == nil {
		b.idle = make(chan struct{})
	}
	idle := b.idle
	b.mu.Unlock()
	select {
	case <-idle:
		return true
	case <-timeout:
		return false
	}
}
