package adapter

import "time"

// What was said in the namespace though it concerned no socket of this node is
// overheard: kept for a while, for sockets that come here from a node that is
// behind this one (see Log.Import), or is dead (see Log.Inherit). So are the
// changes that were said of many sockets at a time, whomever they concerned. What
// came here for one socket ahead of that is kept apart, and for a moment.

// An overheard is one of them.
type overheard struct {
	at     Position // where it stands among the packets
	when   time.Time
	origin Origin
	routed bool // it was not said to all,
	taken  bool // and somebody has got it since
	kind   kind
	target Target
	packet *Packet // of kindBroadcast
	rooms  []Room  // of kindJoin and kindLeave
	close  bool    // of kindDisconnect
	size   int
	prior  uint64 // the serial of the one before with an origin of that node, if it is kept
}

// overhear is a queue of them, oldest first; guarded by the Log's mu.
type overhear struct {
	items   []overheard
	first   int
	bytes   int
	dropped uint64 // those that there were before: they are numbered as they come
}

// maxLag is how far nodes may be apart in what they have heard for a socket to
// go from one to the other.
const maxLag = 10 * time.Second

// keep adds what was said, and drops what is too old or too much. It needs the
// Log's mu; it returns by how much the queue has grown, in bytes.
func (q *overhear) keep(o overheard, maxBytes int, maxAge time.Duration, v *vectors) (grown int) {
	before := q.bytes
	o.size = entryCost + targetSize(o.target)
	if o.packet != nil {
		o.size += len(o.packet.Data)
	}
	for _, r := range o.rooms {
		o.size += len(r)
	}
	if !o.routed {
		voice := v.voice(o.origin.Node)
		o.prior = voice.heard
		voice.heard = q.dropped + uint64(len(q.items)-q.first) + 1
	}
	q.items = append(q.items, o)
	q.bytes += o.size
	q.drop(func(old *overheard) bool { return q.bytes > maxBytes || old.when.Before(o.when.Add(-maxAge)) }, v)
	return q.bytes - before
}

// drop forgets the oldest while which says so.
func (q *overhear) drop(which func(*overheard) bool, v *vectors) {
	for q.first < len(q.items) && which(&q.items[q.first]) {
		o := &q.items[q.first]
		v.lose(o.origin, o.when)
		q.bytes -= o.size
		*o = overheard{}
		q.first++
		q.dropped++
	}
	switch {
	case q.first == len(q.items):
		q.items, q.first = nil, 0
	case q.first > 64 && q.first > len(q.items)/2:
		q.items = append(q.items[:0:0], q.items[q.first:]...)
		q.first = 0
	}
}

func (q *overhear) all() []overheard { return q.items[q.first:] }

// bySerial returns the one of a serial, or nil if it is not kept.
func (q *overhear) bySerial(serial uint64) *overheard {
	if serial <= q.dropped {
		return nil
	}
	return &q.all()[serial-q.dropped-1]
}

func targetSize(t Target) (n int) {
	for _, r := range t.Rooms {
		n += len(r)
	}
	for _, r := range t.Except {
		n += len(r)
	}
	return n
}

// overhear keeps what was said. It needs seq.
func (g *Log) overhear(o overheard) {
	if !o.origin.known() {
		return
	}
	o.at = Position(g.journal.last.Add(1))
	o.when = time.Now()
	g.keepBeside(func() int {
		if o.routed {
			return g.early.keep(o, g.journal.opts.MaxBytes/8, maxLag, &g.vectors)
		}
		return g.said.keep(o, g.journal.opts.MaxBytes/4, g.journal.opts.Retention, &g.vectors)
	})
}

// keepBeside has keep, called under mu, keep something beside the entries; it
// returns by how much that has grown, in bytes.
func (g *Log) keepBeside(keep func() (grown int)) {
	g.mu.Lock()
	fresh := g.n == 0 && g.beside() == 0
	g.count(keep())
	g.mu.Unlock()
	if fresh {
		g.journal.expire()
	}
	g.journal.shrink()
}
