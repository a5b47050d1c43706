package adapter

import (
	"slices"
	"sync"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// A directory is the records that this node keeps for others, each of what its
// owner would take with it, should it die: where they are found is settled by
// Rendezvous. A record lives as long as its owner and, so that another can claim
// it, for a while longer.
//
// Who claimed it is remembered as long, for an owner that was only taken to be
// dead. All methods may be called concurrently.
type directory struct {
	maxRecords, maxBytes int

	mu      sync.Mutex // guards all below
	records map[string]*record
	owners  map[broker.NodeID]map[string]*record // the same, by owner
	claims  map[string]*claimed
	mortal  int // records that are to expire
	bytes   int
	refused int         // records that found no room, or were out of order
	timer   *time.Timer // nil: nothing is to expire
	calls   sync.WaitGroup
	closed  bool
}

// A record is what one node says of one key, or was given of it.
type record struct {
	key   string
	owner broker.NodeID
	term  uint64
	ttl   time.Duration
	body  []byte
	added [][]byte
	size  int
	since time.Time // when it was put
	doubt bool      // something that was added may be missing
	until time.Time // when it expires, if its owner is dead, or has been given it and not said more yet
}

// A claimed key has changed hands.
type claimed struct {
	had   []broker.NodeID // its owners before
	by    broker.NodeID
	term  uint64
	until time.Time
}

// recordCost is about what a record, or a claim, takes beside what is in it.
const recordCost = 256

func newDirectory(maxRecords, maxBytes int) *directory {
	return &directory{
		maxRecords: maxRecords,
		maxBytes:   maxBytes,
		records:    make(map[string]*record),
		owners:     make(map[broker.NodeID]map[string]*record),
		claims:     make(map[string]*claimed),
	}
}

// take does what a node says of one of its records. If another has claimed it
// since, it does not, and returns what the node has to be told.
func (d *directory) take(from broker.NodeID, i item) (lost *item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, c := d.records[i.key], d.claims[i.key]
	if c != nil && i.term <= c.term && c.by != from {
		return &item{kind: itemLost, key: i.key, term: c.term, node: c.by}
	}
	if r != nil && (i.term < r.term || i.term == r.term && r.owner != from) {
		return nil // late, and not the last that is said of it
	}
	switch i.kind {
	case itemPut:
		d.put(&record{key: i.key, owner: from, term: i.term, ttl: i.ttl, body: i.body})
	case itemAdd:
		if r != nil {
			d.add(r, i)
		}
	case itemDrop:
		if r != nil {
			d.remove(r)
		}
	}
	return nil
}

// put needs mu.
func (d *directory) put(r *record) {
	if before := d.records[r.key]; before != nil {
		d.remove(before)
	}
	r.size = len(r.key) + len(r.body) + recordCost
	if d.closed || len(d.records) >= d.maxRecords || d.bytes+r.size > d.maxBytes {
		d.refused++
		return
	}
	r.body = slices.Clone(r.body) // not the message that it came in
	r.since = time.Now()
	d.insert(r)
}

// add needs mu. What does not follow ends the record: it would not be true.
func (d *directory) add(r *record, i item) {
	size := len(i.body) + recordCost/8
	if i.term != r.term || i.number != uint64(len(r.added))+1 || r.size+size > maxRecord || d.bytes+size > d.maxBytes {
		d.refused++
		d.remove(r)
		return
	}
	r.added = append(r.added, slices.Clone(i.body))
	r.size += size
	d.bytes += size
}

// insert needs mu.
func (d *directory) insert(r *record) {
	d.records[r.key] = r
	d.bytes += r.size
	of := d.owners[r.owner]
	if of == nil {
		of = make(map[string]*record)
		d.owners[r.owner] = of
	}
	of[r.key] = r
	if !r.until.IsZero() {
		d.mortal++
		d.arm()
	}
}

// remove needs mu.
func (d *directory) remove(r *record) {
	delete(d.records, r.key)
	d.bytes -= r.size
	of := d.owners[r.owner]
	delete(of, r.key)
	if len(of) == 0 {
		delete(d.owners, r.owner)
	}
	if !r.until.IsZero() {
		d.mortal--
	}
}

// down begins the time after which the records of a node expire.
func (d *directory) down(node broker.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for _, r := range d.owners[node] {
		if r.until.IsZero() {
			d.mortal++
		}
		r.until = now.Add(r.ttl)
	}
	d.arm()
}

// up undoes down, and returns what the node has lost meanwhile.
func (d *directory) up(node broker.NodeID) (lost []item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.owners[node] {
		if !r.until.IsZero() && d.claims[r.key] == nil {
			r.until = time.Time{}
			d.mortal--
		}
	}
	for key, c := range d.claims {
		if slices.Contains(c.had, node) && c.by != node {
			lost = append(lost, item{kind: itemLost, key: key, term: c.term, node: c.by})
		}
	}
	return lost
}

// missed tells that some of the words of a node were missed, and reports whether
// it is to say them again: what it does not put once more is gone, and expires.
// Should it be dead, what was heard before is better than nothing.
func (d *directory) missed(node broker.NodeID) bool {
	d.down(node)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.owners[node] {
		r.doubt = true
	}
	return len(d.owners[node]) > 0
}

// claim gives a record to a node, if its owner is dead.
func (d *directory) claim(by broker.NodeID, key string, dead func(broker.NodeID) bool) finding {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, c := d.records[key], d.claims[key]
	switch {
	case r == nil && c != nil && !dead(c.by): // it keeps its record elsewhere
		return finding{what: answerLives, node: c.by}
	case r == nil:
		return finding{what: answerNone}
	case c != nil && c.by == by && r.owner == by && r.term == c.term: // the answer may have come too late
		return granted(r, c.had[len(c.had)-1])
	case !dead(r.owner):
		return finding{what: answerLives, node: r.owner}
	}
	had := r.owner
	if c == nil {
		c = new(claimed)
		d.claims[key] = c
		d.bytes += recordCost
	}
	c.had = append(c.had, had)
	c.by, c.term, c.until = by, r.term+1, time.Now().Add(r.ttl)
	d.remove(r)
	r.owner, r.term, r.until = by, c.term, c.until // until by says more of it
	d.insert(r)
	return granted(r, had)
}

func granted(r *record, had broker.NodeID) finding {
	return finding{what: answerGranted, term: r.term, node: had, age: time.Since(r.since), doubt: r.doubt, body: r.body, added: r.added}
}

// release undoes the claim of a term.
func (d *directory) release(by broker.NodeID, key string, term uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, c := d.records[key], d.claims[key]
	if r == nil || c == nil || r.owner != by || r.term != term || c.term != term {
		return
	}
	d.remove(r)
	last := len(c.had) - 1
	r.owner, r.term, r.until = c.had[last], term-1, c.until
	c.had, c.by, c.term = c.had[:last], r.owner, r.term
	if last == 0 {
		d.forget(key)
	}
	d.insert(r)
}

// forget needs mu.
func (d *directory) forget(key string) {
	delete(d.claims, key)
	d.bytes -= recordCost
}

// arm needs mu.
func (d *directory) arm() {
	if d.timer != nil || d.closed || d.mortal == 0 && len(d.claims) == 0 {
		return
	}
	d.calls.Add(1)
	d.timer = time.AfterFunc(time.Second, func() {
		defer d.calls.Done()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.timer = nil
		now := time.Now()
		for _, r := range d.records {
			if !r.until.IsZero() && !r.until.After(now) {
				d.remove(r)
			}
		}
		for key, c := range d.claims {
			if !c.until.After(now) {
				d.forget(key)
			}
		}
		d.arm()
	})
}

// close forgets everything.
func (d *directory) close() {
	d.mu.Lock()
	d.closed = true
	for _, r := range d.records {
		d.remove(r)
	}
	for key := range d.claims {
		d.forget(key)
	}
	if d.timer != nil && d.timer.Stop() {
		d.calls.Done()
	}
	d.mu.Unlock()
	d.calls.Wait()
}
