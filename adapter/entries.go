package adapter

import (
	"maps"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// An entry is a packet that was delivered or, so that it is known who was
// concerned then, the change of a socket's room.
type entry struct {
	at     Position // of the packet, or of the one before the change
	when   time.Time
	size   int
	packet *Packet // nil: a change
	target Target  // of a packet; of a change, its room
	origin Origin  // of a packet that all nodes were told of
	prior  uint64  // the serial of the entry before with an origin of that node, if it is kept
	former []Place // of an imported packet; see Transfer

	id     SocketID
	joined bool
}

// entryCost is about what an entry takes beside what it refers to.
const entryCost = 256

func (g *Log) append(e entry) {
	e.when = time.Now()
	g.mu.Lock()
	fresh := g.n == 0
	if e.packet != nil {
		g.head = e.at
	} else {
		e.at = g.head
	}
	if g.n == len(g.entries) {
		g.grow()
	}
	g.entries[(g.first+g.n)%len(g.entries)] = e
	g.n++
	g.count(e.size)
	evicted := 0
	for g.n > 0 && g.entries[g.first].when.Before(e.when.Add(-g.journal.opts.Retention)) {
		g.drop()
	}
	for g.n > 0 && g.bytes-g.beside() > g.journal.opts.MaxBytes {
		evicted += g.drop()
	}
	g.mu.Unlock()
	g.evicted(evicted)
	if fresh {
		g.journal.expire()
	}
	g.journal.shrink()
}

// grow needs mu.
func (g *Log) grow() {
	entries := make([]entry, max(16, 2*len(g.entries)))
	for i := range g.n {
		entries[i] = *g.at(i)
	}
	g.entries, g.first = entries, 0
}

// at returns the i-th oldest entry. It needs mu.
func (g *Log) at(i int) *entry { return &g.entries[(g.first+i)%len(g.entries)] }

// serial returns that of the newest entry: they are numbered as they come. It
// needs mu.
func (g *Log) serial() uint64 { return g.dropped + uint64(g.n) }

// bySerial returns the entry of a serial, or nil if it is not kept. It needs mu.
func (g *Log) bySerial(serial uint64) *entry {
	if serial <= g.dropped {
		return nil
	}
	return g.at(int(serial - g.dropped - 1))
}

// newest returns the newest entry, or nil. It needs mu.
func (g *Log) newest() *entry {
	if g.n == 0 {
		return nil
	}
	return g.at(g.n - 1)
}

// drop forgets the oldest entry, and returns the number of packets that it is.
// It needs mu.
func (g *Log) drop() (packets int) {
	e := g.at(0)
	g.lose(e.origin, e.when)
	if e.packet != nil {
		g.trimmed = e.at
		packets = 1
	}
	g.count(-e.size)
	*e = entry{}
	g.first = (g.first + 1) % len(g.entries)
	g.dropped++
	if g.n--; g.n == 0 {
		g.entries, g.first = nil, 0
	}
	return packets
}

// beside returns the bytes of what is kept beside the entries. It needs mu.
func (g *Log) beside() int { return g.said.bytes + g.early.bytes + g.directs.bytes }

// count needs mu.
func (g *Log) count(bytes int) {
	g.bytes += bytes
	g.journal.bytes.Add(int64(bytes))
}

func (g *Log) evicted(packets int) {
	if packets > 0 && g.opts.Evicted != nil {
		g.opts.Evicted(packets)
	}
}

// expire drops what was kept long enough, and reports whether anything is left.
func (g *Log) expire(now time.Time) (left bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.n > 0 && !g.at(0).when.After(now.Add(-g.journal.opts.Retention)) {
		g.drop()
	}
	before := g.beside()
	g.said.drop(func(o *overheard) bool { return !o.when.After(now.Add(-g.journal.opts.Retention)) }, &g.vectors)
	g.early.drop(func(o *overheard) bool { return !o.when.After(now.Add(-maxLag)) }, &g.vectors)
	g.directs.expire(now.Add(-g.journal.opts.Retention))
	g.count(g.beside() - before)
	g.quiet(now.Add(-g.journal.opts.memory()))
	maps.DeleteFunc(g.absences, func(_ broker.NodeID, a absence) bool { return a.when.Before(now.Add(-g.journal.opts.settled())) })
	return g.n > 0 || g.beside() > 0 || len(g.heard) > 0
}

// shrink drops the oldest until no more than a number of bytes is left.
func (g *Log) shrink(bytes int) {
	g.mu.Lock()
	evicted := 0
	before := g.beside()
	more := func() bool { return g.bytes+g.beside()-before > bytes }
	g.early.drop(func(*overheard) bool { return more() }, &g.vectors)
	g.said.drop(func(*overheard) bool { return more() }, &g.vectors)
	g.directs.drop(func(*direct) bool { return more() })
	g.count(g.beside() - before)
	for g.n > 0 && g.bytes > bytes {
		evicted += g.drop()
	}
	g.mu.Unlock()
	g.evicted(evicted)
}

// close forgets everything.
func (g *Log) close() {
	g.mu.Lock()
	for g.n > 0 {
		g.drop()
	}
	g.count(-g.beside())
	g.said, g.early, g.directs, g.vectors = overhear{}, overhear{}, directs{}, vectors{}
	g.mu.Unlock()
	g.journal.remove(g)
}
