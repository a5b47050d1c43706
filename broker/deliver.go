package broker

import (
	"context"
	"errors"
	"time"
)

// pump starts emptying t if nothing does. b.mu is held.
func (b *Bus) pump(t *topic) {
	if t.busy || t.dead || b.driver == nil || b.ended || !b.waits(t) {
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
		if t.dead || !b.waits(t) || b.ctx.Err() != nil {
			t.busy = false
			if len(t.repair) > 0 {
				b.look() // the clock goes on with it
			}
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
		if len(t.repair) > 0 && b.budget.ready(time.Now()) {
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
	e.header = header{version: b.speaks(t, s.hello), sender: b.self.ID, pn: b.pn, age: b.uptime(), left: b.left()}
	e.hellos, e.beat, e.acks, e.bye, e.asks = e.hellos[:0], nil, e.acks[:0], nil, e.asks[:0]
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
			e.beat = b.pulse(room / 3)
			e.acks = b.acks(e.acks, room/3)
		}
		if s.bye {
			e.bye = b.pulse(room / 3)
		}
	}
}

// fixedBound is what an envelope has at most besides messages, beats and acks.
const fixedBound = 2 << 10

// reserve is what an envelope needs at most besides its messages. b.mu is held.
func (b *Bus) reserve() int { return fixedBound + 3*min(refBound*len(b.peers), b.limit/12) }

// greeting returns a hello to everybody.
func (b *Bus) greeting() hello {
	h := hello{name: b.self.Name, oldest: oldest, latest: version, caps: b.self.Caps}
	if b.draining.Load() {
		h.flags = helloDraining
	}
	return h
}

// speaks returns the version of the protocol in which to speak to a topic: one
// that all who listen understand. b.mu is held.
func (b *Bus) speaks(t *topic, hello bool) uint8 {
	if p := t.peer; p != nil {
		return max(p.Protocol, oldest)
	}
	if hello {
		return oldest // whoever listens
	}
	v := uint8(version)
	for _, p := range b.peers {
		v = min(v, max(p.Protocol, oldest))
	}
	return v
}

// acks appends what has come from others, in at most room bytes, if anybody
// wants to know. b.mu is held.
func (b *Bus) acks(acks []ref, room int) []ref {
	read := false
	for _, p := range b.peers {
		read = read || p.Caps&CapAck != 0
	}
	if !read {
		return acks
	}
	for _, p := range b.peers {
		if p.up && p.known && len(acks) < room/refBound {
			acks = append(acks, ref{p.ref, p.cur})
		}
	}
	return acks
}

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
	if b.draining.Load() {
		t.state = stateDraining
	}
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
	if len(s.repair) > 0 {
		b.budget.spend(size)
	} else {
		b.budget.earn(size)
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
		h(t.peer.member())
	}
	if h := b.opts.Hooks.Repair; h != nil && len(s.repair) > 0 {
		n := 0
		for i := range e.messages {
			n += len(e.messages[i].body)
		}
		h(t.peer.member(), len(e.messages), n)
	}
}

// wakeAll ends the waits for another try. b.mu is held.
func (b *Bus) wakeAll() {
	if b.wake != nil {
		close(b.wake)
		b.wake = nil
	}
}
