package broker

import (
	"slices"
	"time"
)

// A ring keeps what this node has said, in the order of its numbers: first
// until the broker has it, then, as long as there is room and for keepTime, for
// those who missed it. Every number has its entry, so that finding one is
// arithmetic.
type ring struct {
	entries []entry // the oldest at head
	head    int
	bytes   int    // of all entries, of which Options.Buffer is the bound
	queued  int    // of those that wait for the broker
	scanned uint64 // no entry up to this number that waits no more has a body, but the oldest

	evictedAll uint64 // the last message to all that is kept no more
}

// ringTime is how long a message is kept after the broker has taken it.
const ringTime = 30 * time.Second

// An entry is one message in the ring.
type entry struct {
	message
	to    NodeID // zero: all
	at    uint64 // the uptime, in ms, when the broker took it
	state entryState
}

type entryState uint8

const (
	waiting entryState = iota // for the broker
	sent                      // the broker has it, or it was for a node that is gone
	husk                      // sent, and its body was given up
)

// entryOverhead is what an entry counts besides its body.
const entryOverhead = 128

func (e *entry) size() int { return entryOverhead + len(e.body) + 16*len(e.refs) }

// find returns the entry of a number, or nil if it is gone.
func (r *ring) find(seq uint64) *entry {
	if r.head == len(r.entries) || seq < r.entries[r.head].seq {
		return nil
	}
	if i := seq - r.entries[r.head].seq; i < uint64(len(r.entries)-r.head) {
		return &r.entries[r.head+int(i)]
	}
	return nil
}

// first returns the oldest entry, or nil.
func (r *ring) first() *entry {
	if r.head == len(r.entries) {
		return nil
	}
	return &r.entries[r.head]
}

func (r *ring) add(e entry) {
	if r.head > len(r.entries)/2 && len(r.entries) == cap(r.entries) {
		n := copy(r.entries, r.entries[r.head:])
		clear(r.entries[n:])
		r.entries, r.head = r.entries[:n], 0
	}
	if n := len(r.entries); n == cap(r.entries) {
		r.entries = slices.Grow(r.entries, max(n, 64)) // append would copy them more often
	}
	r.bytes += e.size()
	if e.state == waiting {
		r.queued += e.size()
	}
	r.entries = append(r.entries, e)
}

// settle notes that a message waits for the broker no more.
func (r *ring) settle(seq, uptime uint64) {
	e := r.find(seq)
	if e == nil || e.state != waiting {
		return
	}
	r.queued -= e.size()
	r.bytes -= 16 * len(e.refs)
	e.state, e.at, e.refs = sent, uptime, nil
}

// empty gives up the body of a message that waits no more.
func (r *ring) empty(e *entry) {
	r.bytes -= len(e.body)
	e.state, e.body = husk, nil
}

// pop drops the oldest entry and remembers for whom it is lost. b.mu is held.
func (b *Bus) pop() {
	r := &b.ring
	e := r.first()
	if e.to == (NodeID{}) {
		r.evictedAll = e.seq
	} else if p := b.peers[e.to]; p != nil {
		p.evicted = e.seq
	} else if t := b.tombs[e.to]; t != nil {
		t.evicted = e.seq
	}
	r.bytes -= e.size()
	*e = entry{}
	if r.head++; r.head == len(r.entries) {
		r.entries, r.head = r.entries[:0], 0
		if cap(r.entries) > 1024 && r.queued == 0 {
			r.entries = nil // an idle node keeps no memory
		}
	}
}

// makeRoom evicts what was sent longest ago until n more bytes fit. What
// waits for the broker is never evicted. b.mu is held.
func (b *Bus) makeRoom(n int) bool {
	r := &b.ring
	if r.queued+n > b.opts.Buffer {
		return false
	}
	for r.bytes+n > b.opts.Buffer {
		e := r.first()
		if e.state != waiting {
			b.pop()
			continue
		}
		// One topic is stuck: what was sent to others since then has to go.
		r.scanned = max(r.scanned, e.seq)
		for e != nil && e.state != sent {
			r.scanned++
			e = r.find(r.scanned)
		}
		if e == nil {
			r.scanned--
			return false
		}
		r.empty(e)
	}
	return true
}

// expire drops what was kept for long enough. b.mu is held.
func (b *Bus) expire() {
	limit := uint64(ringTime.Milliseconds())
	for e := b.ring.first(); e != nil && e.state != waiting && b.uptime() > e.at+limit; e = b.ring.first() {
		b.pop()
	}
}
