package adapter

import (
	"time"

	"github.com/carillonhq/carillon/broker"
)

// What this node said to another one alone is kept for a while, in case that dies
// before its sockets have had it (see Log.Inherit).

// A direct is one such message.
type direct struct {
	to     broker.NodeID
	number uint64 // under which that node hears it
	when   time.Time
	m      message
	size   int
}

// directs is a queue of them, oldest first; guarded by the Log's mu.
type directs struct {
	items []direct
	bytes int
	lost  map[broker.NodeID]lostDirect
}

// A lostDirect is the last that is not kept any more.
type lostDirect struct {
	number uint64
	when   time.Time
}

func (q *directs) keep(d direct, maxBytes int) (grown int) {
	before := q.bytes
	d.size = entryCost + targetSize(d.m.target) + len(d.m.body)
	q.items = append(q.items, d)
	q.bytes += d.size
	q.drop(func(*direct) bool { return q.bytes > maxBytes })
	return q.bytes - before
}

// drop forgets the oldest while which says so.
func (q *directs) drop(which func(*direct) bool) {
	n := 0
	for n < len(q.items) && which(&q.items[n]) {
		d := &q.items[n]
		if q.lost == nil {
			q.lost = make(map[broker.NodeID]lostDirect)
		}
		q.lost[d.to] = lostDirect{d.number, d.when}
		q.bytes -= d.size
		*d = direct{}
		n++
	}
	if q.items = q.items[n:]; len(q.items) == 0 {
		q.items = nil
	}
}

// expire forgets what is older than since.
func (q *directs) expire(since time.Time) {
	q.drop(func(d *direct) bool { return !d.when.After(since) })
	for node, l := range q.lost {
		if !l.when.After(since) {
			delete(q.lost, node)
		}
	}
}

// keepDirect keeps what was said to a node under a number. It needs seq.
func (g *Log) keepDirect(to broker.NodeID, number uint64, m message) {
	if g == nil || number == 0 || m.flags&flagVolatile != 0 {
		return
	}
	switch m.kind {
	case kindDeliver:
		m.kind = kindBroadcast
	case kindBroadcast, kindJoin, kindLeave, kindDisconnect:
	default:
		return
	}
	m.trace = ""
	d := direct{to: to, number: number, when: time.Now(), m: m}
	g.keepBeside(func() int { return g.directs.keep(d, g.journal.opts.MaxBytes/8) })
}
