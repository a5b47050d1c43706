package broker

import (
	"context"
	"errors"
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

func (t *topic) waiting() bool {
	return len(t.queue) > 0 || t.hello || t.beat || t.bye || t.nak || len(t.repair) > 0
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

// pump starts emptying t if nothing does. b.mu is held.
func (b *Bus) pump(t *topic) {
	if t.busy || t.dead || b.driver == nil || b.ended || !t.waiting() {
		return
	}
	t.busy = true
	b.busy++
	b.wg.Go(func() { b.empty(t) }) // ends when the topic is empty or dead, or with the Bus
}

func (b *Bus) empty(t *topic) {
	var buf []byte
	var batch []message
	for {
		b.mu.Lock()
		if t.dead || !t.waiting() || b.ctx.Err() != nil {
			t.busy = false
			b.busy--
			if b.busy == 0 && b.idle != nil {
				close(b.idle)
				b.idle = nil
			}
			b.mu.Unlock()
			return
		}
		s := speech{hello: t.hello, beat: t.beat, bye: t.bye, nak: t.nak}
		t.hello, t.beat, t.bye, t.nak = false, false, false, false
		if len(t.repair) > 0 {
			s.repair = t.repair // ahead of what is new
			t.repair = nil
		} else {
			batch = b.cut(t, batch[:0])
			s.messages = batch
		}
		b.mu.Unlock()

		buf = b.deliver(t, &s, buf)
		clear(batch) // the bodies can go
		if cap(buf) > 2*maxEnvelope {
			buf = nil
		}
	}
}

// A speech is what one envelope is to say.
type speech struct {
	messages              []message
	hello, beat, bye, nak bool
	repair                []hole // to be answered
}

// cut moves the messages of the next envelope from the queue of t to batch.
// b.mu is held.
func (b *Bus) cut(t *topic, batch []message) []message {
	size := b.reserve()
	n := 0
	for _, seq := range t.queue {
		m := &b.ring.find(seq).message
		if size += m.wireBound(); n > 0 && size > b.limit {
			break
		}
		batch = append(batch, *m)
		n++
	}
	if n == 0 {
		return batch
	}
	t.first = batch[0].seq
	if t.queue = t.queue[n:]; len(t.queue) == 0 {
		t.queue = nil
	}
	return batch
}

// deliver publishes one envelope until the broker has taken it. Each try has
// its own pn, and says anew what is true by then.
func (b *Bus) deliver(t *topic, s *speech, buf []byte) []byte {
	e := envelope{messages: s.messages}
	for try := 1; ; try++ {
		select {
		case b.flight <- struct{}{}:
		case <-b.ctx.Done():
			return buf
		}
		b.mu.Lock()
		driver := b.driver
		b.head(&e, t, s)
		b.mu.Unlock()
		buf = e.append(buf[:0], b.tag, &t.packer)

		ctx, cancel := context.WithTimeout(b.ctx, publishTimeout+time.Duration(len(buf)>>10)*time.Second>>10)
		start := time.Now()
		err := driver.Publish(ctx, t.name, buf)
		took := time.Since(start)
		cancel()
		<-b.flight
		if h := b.opts.Hooks.Published; h != nil {
			h(len(e.messages), len(buf), took, err)
		}

		again, wait, wake := b.published(t, s, &e, len(buf), try, err)
		if !again {
			b.told(t, s, &e)
			return buf
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-wake:
		case <-b.ctx.Done():
		}
		timer.Stop()
	}
}

// head fills in what an envelope to t says besides its messages. b.mu is held.
func (b *Bus) head(e *envelope, t *topic, s *speech) {
	b.pn++
	e.header = header{sender: b.self.ID, pn: b.pn, age: b.uptime(), left: b.left()}
	e.hellos, e.beat, e.bye, e.asks = e.hellos[:0], nil, nil, e.asks[:0]
	if s.hello {
		h := b.greeting()
		if p := t.peer; p != nil {
			h.target, h.base, h.prev = p.ID, p.base, p.basePrev
			if !p.up {
				h.flags |= helloWant
			}
		}
		e.hellos = append(e.hellos, h)
	}
	if s.nak && t.peer.up {
		e.asks = t.peer.holes(e.asks)
	}
	if len(s.repair) > 0 {
		b.page(t.peer, s.repair, e)
	}
	if s.beat || s.bye {
		room := b.limit - fixedBound
		for i := range e.messages {
			room -= e.messages[i].wireBound()
		}
		if s.beat {
			e.beat = b.pulse(room / 2)
		}
		if s.bye {
			e.bye = b.pulse(room / 2)
		}
	}
}

// fixedBound is what an envelope has at most besides messages and beats.
const fixedBound = 2 << 10

// reserve is what an envelope needs at most besides its messages. b.mu is held.
func (b *Bus) reserve() int { return fixedBound + 2*min(refBound*len(b.peers), b.limit/8) }

// greeting returns a hello to everybody.
func (b *Bus) greeting() hello { return hello{name: b.self.Name} }

// left returns the number up to which the broker has everything. b.mu is held.
func (b *Bus) left() uint64 {
	n := b.all.left(b.seq)
	for _, p := range b.peers {
		n = p.out.left(n)
	}
	return n
}

func (t *topic) left(n uint64) uint64 {
	if t.first > 0 {
		return min(n, t.first-1)
	}
	if len(t.queue) > 0 {
		return min(n, t.queue[0]-1)
	}
	return n
}

// pulse returns what has left this node, for beat and bye, in at most room
// bytes: who finds no place in it is named by another beat. b.mu is held.
func (b *Bus) pulse(room int) *beat {
	t := &beat{head: b.headAll}
	for _, p := range b.peers {
		if p.headDirect > b.headAll && len(t.refs) < room/refBound {
			t.refs = append(t.refs, ref{p.ref, p.headDirect})
		}
	}
	return t
}

// published notes the outcome of a try, and says whether and when to try
// again, and what may end that wait.
func (b *Bus) published(t *topic, s *speech, e *envelope, size, try int, err error) (again bool, wait time.Duration, wake <-chan struct{}) {
	tooLarge := errors.Is(err, ErrTooLarge)
	if tooLarge {
		// No try will bring it through, and all behind it would wait. Who
		// misses it will ask, and gets it in smaller envelopes, or a Gap.
		b.log.Error("the broker refuses an envelope as too large", "topic", t.name, "messages", len(e.messages), "bytes", size, "err", err)
	}
	var say func()
	defer func() { say() }()
	b.mu.Lock()
	defer b.mu.Unlock()
	say = b.publishLink(try, err)
	if err != nil && !tooLarge && !t.dead && b.ctx.Err() == nil {
		wait = b.publishWait(try)
		if b.wake == nil {
			b.wake = make(chan struct{})
		}
		return true, wait, b.wake
	}
	t.first = 0
	now := b.uptime()
	for i := range s.messages {
		b.ring.settle(s.messages[i].seq, now)
	}
	if tooLarge {
		b.shrink(e, size)
	}
	if n := len(s.messages); n > 0 {
		last := s.messages[n-1].seq
		if t.peer == nil {
			b.headAll = last
		} else {
			t.peer.headDirect = last
		}
	}
	return false, 0, nil
}

// shrink makes envelopes smaller than one that was too large, or gives up what
// cannot be made smaller. b.mu is held.
func (b *Bus) shrink(e *envelope, size int) {
	if len(e.messages) > 1 && size > b.limit {
		return // it was cut before another one taught us better
	}
	if smaller := max(size/2, minLimit); len(e.messages) > 1 && smaller < b.limit {
		b.limit = smaller
		return
	}
	for i := range e.messages {
		if en := b.ring.find(e.messages[i].seq); en != nil && en.state == sent {
			b.ring.empty(en)
		}
	}
}

// told tells the hooks what an envelope to one node was for.
func (b *Bus) told(t *topic, s *speech, e *envelope) {
	if h := b.opts.Hooks.Asked; h != nil && len(e.asks) > 0 {
		h(t.peer.Member)
	}
	if h := b.opts.Hooks.Repair; h != nil && len(s.repair) > 0 {
		n := 0
		for i := range e.messages {
			n += len(e.messages[i].body)
		}
		h(t.peer.Member, len(e.messages), n)
	}
}

// wakeAll ends the waits for another try. b.mu is held.
func (b *Bus) wakeAll() {
	if b.wake != nil {
		close(b.wake)
		b.wake = nil
	}
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
