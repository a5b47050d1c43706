package bench

import (
	"context"
	"sync/atomic"
	"time"
)

// A load keeps messages under way: a fixed number of them in a closed loop,
// where the end of one is the beginning of the next; or as many as a rate
// makes it, in an open loop.
type load struct {
	send func(slot int, at int64) // calls expect and sends a message
	last bool                     // only the last delivery's latency counts
	done func(slot int)           // unless nil, is called for a message that is complete or lost

	clock    func() int64
	sleep    func(time.Duration) // of the goroutine of run; nil: precise
	open     bool
	timeout  time.Duration
	took     *latencies
	from, to int64 // when a message has to begin for its latency to count
	slots    []slot

	counters
}

// A slot holds one message under way.
type slot struct {
	at   atomic.Int64 // when it was meant to be sent, which tells it from those before
	left atomic.Int32 // deliveries that it waits for; set before it is sent
}

// openSlots is how many messages can be under way in an open loop. Those
// beyond are lost.
const openSlots = 1 << 16

// counters count from the beginning of the load.
type counters struct{ sent, delivered, completed, lost atomic.Int64 }

// counts are the values of counters.
type counts struct{ sent, delivered, completed, lost int64 }

func (c *counters) read() counts {
	return counts{c.sent.Load(), c.delivered.Load(), c.completed.Load(), c.lost.Load()}
}

func (c counts) minus(o counts) counts {
	return counts{c.sent - o.sent, c.delivered - o.delivered, c.completed - o.completed, c.lost - o.lost}
}

// deliver takes note that a message arrived at a client.
func (l *load) deliver(by int, m mark, now int64) {
	l.delivered.Add(1)
	if m.slot >= len(l.slots) {
		return
	}
	s := &l.slots[m.slot]
	if s.at.Load() != m.at {
		return // lost, as it seemed, and now late
	}
	left := s.left.Add(-1)
	if (left == 0 || !l.last) && m.at >= l.from && m.at < l.to {
		l.took.record(by, time.Duration(now-m.at))
	}
	if left == 0 {
		l.complete(m.slot, now)
	}
}

// acknowledge takes note that the message of a slot was acknowledged, which
// is what completes it.
func (l *load) acknowledge(by, slot int, now int64) {
	if slot < 0 || slot >= len(l.slots) {
		return
	}
	s := &l.slots[slot]
	if s.left.Swap(0) == 0 {
		return
	}
	if at := s.at.Load(); at >= l.from && at < l.to {
		l.took.record(by, time.Duration(now-at))
	}
	l.complete(slot, now)
}

func (l *load) complete(slot int, now int64) {
	l.completed.Add(1)
	if l.done != nil {
		l.done(slot)
	}
	if !l.open && now < l.to {
		l.begin(slot, l.clock())
	}
}

// begin sends the next message of a slot.
func (l *load) begin(slot int, at int64) {
	l.sent.Add(1)
	l.send(slot, at)
}

// expect is called by send before it sends.
func (l *load) expect(slot int, at int64, need int) {
	s := &l.slots[slot]
	if s.left.Load() > 0 {
		l.lost.Add(1) // the one that was there
	}
	s.at.Store(at)
	s.left.Store(int32(need))
}

// run keeps inFlight messages under way, or sends them at rate unless that is
// 0, until ctx ends or, if that is earlier, l.to. It returns when those that
// were sent have arrived, or have been given up.
func (l *load) run(ctx context.Context, inFlight int, rate float64) {
	if l.open {
		begin := l.clock()
		sleep := l.sleep
		if sleep == nil {
			sleep = precise()
		}
		pace(ctx, rate, time.Duration(l.to-begin), sleep, func(i int, due time.Time) {
			at := l.clock() - int64(time.Since(due))
			l.begin(i%len(l.slots), at)
		})
	} else {
		for slot := range inFlight {
			l.begin(slot, l.clock())
		}
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for l.underWay() || !l.open && l.clock() < l.to {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		l.giveUp()
	}
}

func (l *load) underWay() bool {
	for i := range l.slots {
		if l.slots[i].left.Load() > 0 {
			return true
		}
	}
	return false
}

// giveUp counts messages as lost that did not arrive in time.
func (l *load) giveUp() {
	now := l.clock()
	for i := range l.slots {
		s := &l.slots[i]
		at := s.at.Load()
		if s.left.Load() <= 0 || time.Duration(now-at) < l.timeout || !s.at.CompareAndSwap(at, -1) {
			continue
		}
		s.left.Store(0)
		l.lost.Add(1)
		if l.done != nil {
			l.done(i)
		}
		if !l.open && now < l.to {
			l.begin(i, now)
		}
	}
}
