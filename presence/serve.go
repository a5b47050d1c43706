package presence

import (
	"errors"
	"slices"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// A pull is what another node asks.
type pull struct {
	nonce   uint64
	have    uint64
	digests []uint64
}

// serve answers what others ask, one after the other, until nobody does.
func (t *Tracker) serve() {
	for {
		t.mu.Lock()
		var to *origin
		var p *pull
		for to, p = range t.pulls {
			delete(t.pulls, to)
			break
		}
		if p == nil || t.closed {
			t.serving = false
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		t.answer(to, p)
	}
}

// serveWait is how long a full buffer of the Bus is given to empty, and
// serveTries how often: then whoever asked has to ask again.
const (
	serveWait  = 100 * time.Millisecond
	serveTries = 50
	serveBytes = 4 << 20 // about as much is told for one question
)

// A serving is the answer to one question.
type serving struct {
	t       *Tracker
	to      *origin
	p       *pull
	devices int
	bytes   int
}

// answer tells another node what it asked for.
func (t *Tracker) answer(to *origin, p *pull) {
	s := &serving{t: t, to: to, p: p}
	var now uint64
	ok := s.say(func() []message {
		var m message
		m, now = t.reply(p)
		s.devices = len(m.ops)
		return []message{m}
	})
	for shard := 0; ok && now>>shard != 0; {
		t.mu.RLock()
		again := t.pulls[to] != nil
		t.mu.RUnlock()
		if again {
			return // it does not wait for this any more
		}
		next, n := shard, 0
		ok = s.say(func() []message {
			var ms []message
			ms, next, n = t.pages(p.nonce, now, shard)
			return ms
		})
		shard = next
		s.devices += n
	}
	if h := t.opts.Hooks.Served; h != nil && ok {
		h(to.Member, s.devices, s.bytes)
	}
}

// say sends what compose returns, again and again if it does not fit into the
// Bus's buffer. It reports whether all of it was taken.
func (s *serving) say(compose func() []message) bool {
	send := s.t.toNode(s.to.ID)
	for range serveTries {
		size := 0
		err := s.t.speak(compose, func(b []byte) error {
			err := send(b)
			if err == nil {
				size += len(b)
			}
			return err
		})
		s.bytes += size
		if err == nil {
			return true
		}
		if size > 0 || !errors.Is(err, broker.ErrOverflow) {
			return false // a part of it is under way; or one of us has gone
		}
		select {
		case <-time.After(serveWait):
		case <-s.t.done:
			return false
		}
	}
	return false
}

// reply returns the first message of an answer, and the shards that follow it.
// t.mu is held.
func (t *Tracker) reply(p *pull) (m message, now uint64) {
	if p.have > 0 {
		if first, ops, ok := t.since(p.have); ok {
			return message{kind: kindRange, nonce: p.nonce, first: first, ops: slices.Clone(ops)}, 0
		}
	}
	m = message{kind: kindAnswer, nonce: p.nonce, first: t.self.seq}
	// A device takes about 64 bytes, and so a shard as many as there are devices.
	room := max(1, serveBytes/max(1, t.self.devices))
	for i, d := range t.self.digests {
		switch {
		case p.digests == nil && d == 0 || p.digests != nil && d == p.digests[i]:
		case room > 0:
			m.now |= 1 << i
			room--
		default:
			m.later |= 1 << i
		}
	}
	return m, m.now
}

// pages returns shards of mask from a first one on: as many as fill a page, or
// one in as many pages as it fills. t.mu is held.
func (t *Tracker) pages(nonce, mask uint64, shard int) (ms []message, next, devices int) {
	m := message{kind: kindPage, nonce: nonce}
	size := 0
	for ; shard < shards && size < pageMax; shard++ {
		if mask>>shard&1 == 0 {
			continue
		}
		s := section{shard: uint8(shard)}
		for e := range t.held(&t.self, shard) {
			if size >= pageMax {
				s.flags |= sectionMore
				m.sections = append(m.sections, s)
				ms = append(ms, m)
				m.sections, s, size = nil, section{shard: s.shard, flags: sectionRest}, 0
			}
			s.devices = append(s.devices, e.device)
			size += e.size()
			devices++
		}
		m.sections = append(m.sections, s)
	}
	return append(ms, m), shard, devices
}
