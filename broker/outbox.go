package broker

import (
	"context"
	"errors"
	"slices"
	"time"
)

const (
	maxEnvelope    = 256 << 10              // bytes of messages in one envelope, unless one alone has more
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
	queued  int // bytes, of which Options.Buffer is the bound

	all  *topic
	busy int           // topics with a goroutine
	idle chan struct{} // closed when busy falls to 0, if somebody waits
	wake chan struct{} // closed when the broker is back, if somebody waits
}

// A topic is a queue of messages on their way to one topic of the broker.
type topic struct {
	name             string
	peer             *peer // nil: the topic of all
	queue            []message
	first            uint64 // the first message of the envelope under way, if any
	hello, beat, bye bool   // to go with the next envelope
	busy             bool   // a goroutine empties it
	dead             bool   // nobody listens any more
}

func (t *topic) waiting() bool { return len(t.queue) > 0 || t.hello || t.beat || t.bye }

// messageSize is what a message counts against Options.Buffer.
func messageSize(m *message) int { return itemOverhead + len(m.body) + 16*len(m.refs) }

// admit checks that n messages of m's size can be queued, and makes the body
// ours. b.mu is held.
func (b *Bus) admit(m *message, n int) error {
	if b.closing {
		return ErrClosed
	}
	if b.queued+n*messageSize(m) > b.opts.Buffer {
		return ErrOverflow
	}
	m.body = slices.Clone(m.body)
	return nil
}

// toAll queues m for every other node. b.mu is held.
func (b *Bus) toAll(m message) error {
	if len(b.peers) == 0 {
		if b.closing {
			return ErrClosed
		}
		if len(b.tombs) > 0 {
			// A node that we hold down may be alive and come back. The
			// number it missed will tell it of the gap.
			b.seq++
			b.lastAll = b.seq
			clear(b.refs)
		}
		return nil
	}
	if err := b.admit(&m, 1); err != nil {
		return err
	}
	b.seq++
	m.seq, m.prev = b.seq, b.lastAll
	if len(b.refs) > 0 {
		m.refs = make([]ref, 0, len(b.refs))
		for node, seq := range b.refs {
			m.refs = append(m.refs, ref{node, seq})
		}
		clear(b.refs)
	}
	b.lastAll = b.seq
	b.enqueue(b.all, m)
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
	b.seq++
	m.flags |= msgDirect
	m.seq, m.prev = b.seq, max(p.lastDirect, b.lastAll, p.base)
	p.lastDirect = b.seq
	b.refs[p.ref] = b.seq
	b.enqueue(p.out, m)
}

func (b *Bus) enqueue(t *topic, m message) {
	t.queue = append(t.queue, m)
	b.queued += messageSize(&m)
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
		batch = t.cut(batch[:0])
		if len(batch) > 0 {
			t.first = batch[0].seq
		}
		o := envelope{messages: batch}
		hello, beat, bye := t.hello, t.beat, t.bye
		t.hello, t.beat, t.bye = false, false, false
		b.mu.Unlock()

		buf = b.deliver(t, &o, hello, beat, bye, buf)
		clear(batch) // the bodies can go
		if cap(buf) > 2*maxEnvelope {
			buf = nil
		}
	}
}

// cut moves the messages of the next envelope from the queue to batch.
func (t *topic) cut(batch []message) []message {
	size, n := 0, 0
	for n < len(t.queue) && (n == 0 || size+messageSize(&t.queue[n]) <= maxEnvelope) {
		size += messageSize(&t.queue[n])
		n++
	}
	batch = append(batch, t.queue[:n]...)
	clear(t.queue[:n])
	if t.queue = t.queue[n:]; len(t.queue) == 0 {
		t.queue = nil
	}
	return batch
}

// deliver publishes one envelope until the broker has taken it. Each try has
// its own pn, and says anew what is true by then.
func (b *Bus) deliver(t *topic, e *envelope, hello, beat, bye bool, buf []byte) []byte {
	for try := 1; ; try++ {
		select {
		case b.flight <- struct{}{}:
		case <-b.ctx.Done():
			return buf
		}
		b.mu.Lock()
		driver := b.driver
		b.head(e, t, hello, beat, bye)
		b.mu.Unlock()
		buf = e.append(buf[:0], b.tag)

		ctx, cancel := context.WithTimeout(b.ctx, publishTimeout+time.Duration(len(buf)>>10)*time.Second>>10)
		start := time.Now()
		err := driver.Publish(ctx, t.name, buf)
		took := time.Since(start)
		cancel()
		<-b.flight
		if h := b.opts.Hooks.Published; h != nil {
			h(len(e.messages), len(buf), took, err)
		}

		again, wait, wake := b.published(t, e, try, err)
		if !again {
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
func (b *Bus) head(e *envelope, t *topic, hello, beat, bye bool) {
	b.pn++
	e.header = header{sender: b.self.ID, pn: b.pn, age: b.uptime(), left: b.left()}
	e.hellos, e.beat, e.bye = e.hellos[:0], nil, nil
	if hello {
		h := b.greeting()
		if p := t.peer; p != nil {
			h.target, h.base, h.prev = p.ID, p.base, p.basePrev
			if _, open := p.hole(); open || !p.up {
				h.flags |= helloWant
			}
		}
		e.hellos = append(e.hellos, h)
	}
	if beat {
		e.beat = b.pulse()
	}
	if bye {
		e.bye = b.pulse()
	}
}

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
		return min(n, t.queue[0].seq-1)
	}
	return n
}

// pulse returns what has left this node, for beat and bye. b.mu is held.
func (b *Bus) pulse() *beat {
	t := &beat{head: b.headAll}
	for _, p := range b.peers {
		if p.headDirect > b.headAll {
			t.refs = append(t.refs, ref{p.ref, p.headDirect})
		}
	}
	return t
}

// published notes the outcome of a try, and says whether and when to try
// again, and what may end that wait.
func (b *Bus) published(t *topic, e *envelope, try int, err error) (again bool, wait time.Duration, wake <-chan struct{}) {
	tooLarge := errors.Is(err, ErrTooLarge)
	if tooLarge {
		// No try will bring it through, and all behind it would wait. Its
		// numbers tell the receivers what they miss.
		b.log.Error("the broker refuses an envelope as too large, its messages are dropped", "topic", t.name, "messages", len(e.messages), "err", err)
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
	for i := range e.messages {
		b.queued -= messageSize(&e.messages[i])
	}
	if n := len(e.messages); n > 0 {
		last := e.messages[n-1].seq
		if t.peer == nil {
			b.headAll = last
		} else {
			t.peer.headDirect = last
		}
	}
	return false, 0, nil
}

// wakeAll ends the waits for another try. b.mu is held.
func (b *Bus) wakeAll() {
	if b.wake != nil {
		close(b.wake)
		b.wake = nil
	}
}

// bury gives up what waits for a node that is gone. b.mu is held.
func (b *Bus) bury(t *topic) {
	t.dead = true
	for i := range t.queue {
		b.queued -= messageSize(&t.queue[i])
	}
	t.queue = nil
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
