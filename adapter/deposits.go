package adapter

import (
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/carillonhq/carillon/broker"
)

const (
	// depositBatch is how long changes wait for others, unless there were none
	// for as long.
	depositBatch = 50 * time.Millisecond

	// depositSpread is over how long what falls to another node, because the
	// members have changed, is sent there: thousands of sessions at once would
	// hold up all else.
	depositSpread = 5 * time.Second

	// depositRenew is how much is added to a record before it is said anew.
	depositRenew = 64

	// depositNote is when a note is sent without waiting for more.
	depositNote = 64 << 10
)

// deposits are the records that this node has others keep, each at the node that
// its key falls to. All methods may be called concurrently, but for those of
// one key.
type deposits struct {
	// post sends a note to a node; with an error it has not.
	post func(to broker.NodeID, note []byte) error

	// there returns the other nodes.
	there func() []broker.Member

	mu      sync.Mutex // guards all below
	members []broker.Member
	own     map[string]*deposit
	notes   map[broker.NodeID][]byte // that wait
	sent    time.Time                // when the last ones were
	flush   *time.Timer              // nil: nothing waits
	moving  []string                 // keys that fall to another node now
	total   int                      // how many they were,
	steps   int                      // so many depositBatches ago
	move    *time.Timer              // nil: nothing moves
	calls   sync.WaitGroup
	closed  bool
}

// A DepositSource is whose records are kept: see Keeper.
type DepositSource struct {
	// TTL is for how long the records are of use when this node is dead; at most
	// a day.
	TTL time.Duration

	// Whole returns what there is to say of keys, as put first, all else
	// included; nothing of those that there is nothing to say of any more. What
	// is added meanwhile may be included, and is said again then.
	Whole func(keys []string) map[string][]byte

	// Lost is told that this node was taken to be dead, and another has claimed
	// a key since, in a later term.
	Lost func(key string, term uint64, node broker.NodeID)
}

// A deposit is where a record is.
type deposit struct {
	source *DepositSource
	at     broker.NodeID // zero: nowhere
	term   uint64
	number uint64 // of what was added last

	moving bool     // it is about to be said anew, as it was a moment ago,
	late   [][]byte // with this added since
}

func newDeposits(post func(broker.NodeID, []byte) error, there func() []broker.Member) *deposits {
	return &deposits{
		post: post, there: there,
		own:   make(map[string]*deposit),
		notes: make(map[broker.NodeID][]byte),
	}
}

// put has a record kept from now on.
func (d *deposits) put(source *DepositSource, key string, term uint64, body []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	o := &deposit{source: source, term: term}
	d.own[key] = o
	d.place(key, o, body)
}

// place needs mu.
func (d *deposits) place(key string, o *deposit, body []byte) {
	m, ok := Rendezvous(key, d.members)
	o.at, o.number = m.ID, 0
	if ok {
		d.say(o.at, &item{kind: itemPut, key: key, term: o.term, ttl: o.source.TTL, body: body})
	}
}

// add has more kept of a record.
func (d *deposits) add(key string, body []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch o := d.own[key]; {
	case o == nil:
	case o.moving:
		o.late = append(o.late, body)
	default:
		d.append(key, o, body)
	}
}

// append needs mu.
func (d *deposits) append(key string, o *deposit, body []byte) {
	if o.at != (broker.NodeID{}) { // else it will be said as a whole
		o.number++
		d.say(o.at, &item{kind: itemAdd, key: key, term: o.term, number: o.number, body: body})
	}
	if o.number == depositRenew { // what was added is as long as the whole, soon
		d.look()
	}
}

// drop has a record kept no more.
func (d *deposits) drop(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.own[key]
	delete(d.own, key)
	if o != nil && o.at != (broker.NodeID{}) {
		d.say(o.at, &item{kind: itemDrop, key: key, term: o.term})
	}
}

// say needs mu.
func (d *deposits) say(to broker.NodeID, i *item) {
	if d.closed {
		return
	}
	note := d.notes[to]
	if note == nil {
		note = []byte{directoryVersion}
	}
	note = i.append(note)
	d.notes[to] = note
	if len(note) >= depositNote {
		delete(d.notes, to)
		d.deliver(to, note)
		return
	}
	if d.flush == nil {
		d.calls.Add(1)
		// Never at once: under the race detector that may crash in testing/synctest,
		// https://go.dev/issue/78156.
		d.flush = time.AfterFunc(max(time.Microsecond, depositBatch-time.Since(d.sent)), d.flushed)
	}
}

func (d *deposits) flushed() {
	defer d.calls.Done()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flush, d.sent = nil, time.Now()
	for to, note := range d.notes {
		delete(d.notes, to)
		d.deliver(to, note)
	}
}

// deliver needs mu. What a node was not told it has no true record of: it is
// sent anew, as if the node had just joined.
func (d *deposits) deliver(to broker.NodeID, note []byte) {
	if d.post(to, note) == nil {
		return
	}
	for _, o := range d.own {
		if o.at == to {
			o.at = broker.NodeID{}
		}
	}
	d.look()
}

// changed looks who is there: it is called each time that this changes.
func (d *deposits) changed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.members = d.there()
	for _, o := range d.own {
		if o.at != (broker.NodeID{}) && !contains(d.members, o.at) {
			o.at = broker.NodeID{}
		}
	}
	for to := range d.notes {
		if !contains(d.members, to) {
			delete(d.notes, to)
		}
	}
	d.look()
}

func contains(members []broker.Member, id broker.NodeID) bool {
	for i := range members {
		if members[i].ID == id {
			return true
		}
	}
	return false
}

// lost ends a record that another node has claimed.
func (d *deposits) lost(i item) {
	d.mu.Lock()
	o := d.own[i.key]
	if o == nil || o.term >= i.term {
		d.mu.Unlock()
		return
	}
	delete(d.own, i.key)
	d.mu.Unlock()
	o.source.Lost(i.key, i.term, i.node)
}

// missed tells that a node may have missed what it was told.
func (d *deposits) missed(node broker.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.own {
		if o.at == node {
			o.at = broker.NodeID{}
		}
	}
	d.look()
}

// look finds what is not where it belongs. It needs mu.
func (d *deposits) look() {
	d.moving = d.moving[:0]
	for key, o := range d.own {
		if m, ok := Rendezvous(key, d.members); ok && (m.ID != o.at || o.number >= depositRenew) {
			d.moving = append(d.moving, key)
		}
	}
	rand.Shuffle(len(d.moving), func(i, j int) { d.moving[i], d.moving[j] = d.moving[j], d.moving[i] })
	d.total, d.steps = len(d.moving), 0
	if len(d.moving) > 0 && d.move == nil && !d.closed {
		d.arm()
	}
}

// arm needs mu.
func (d *deposits) arm() {
	d.calls.Add(1)
	d.move = time.AfterFunc(depositBatch, d.moved)
}

// moved sends some of what is not where it belongs.
func (d *deposits) moved() {
	defer d.calls.Done()
	d.mu.Lock()
	const steps = int(depositSpread / depositBatch)
	d.steps++
	left := d.total * (steps - min(d.steps, steps)) / steps
	n := max(0, len(d.moving)-left)
	keys := append([]string(nil), d.moving[:n]...)
	d.moving = d.moving[n:]
	sources := make(map[*DepositSource][]string)
	for _, key := range keys {
		if o := d.own[key]; o != nil {
			o.moving = true
			sources[o.source] = append(sources[o.source], key)
		}
	}
	d.mu.Unlock()

	bodies := make(map[string][]byte)
	for source, keys := range sources {
		maps.Copy(bodies, source.Whole(keys)) // which takes locks
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range keys {
		o := d.own[key]
		if o == nil {
			continue // it has just gone
		}
		late := o.late
		o.moving, o.late = false, nil
		before, body := o.at, bodies[key]
		if body == nil {
			continue
		}
		d.place(key, o, body)
		for _, body := range late { // which may be in there already
			d.append(key, o, body)
		}
		if before != (broker.NodeID{}) && before != o.at {
			d.say(before, &item{kind: itemDrop, key: key, term: o.term})
		}
	}
	d.move = nil
	if len(d.moving) > 0 && !d.closed {
		d.arm()
	}
}

func (d *deposits) has(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.own[key] != nil
}

func (d *deposits) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.own)
}

// close says nothing more. What the others keep they drop when this node leaves,
// or in time.
func (d *deposits) close() {
	d.mu.Lock()
	d.closed = true
	for _, t := range []*time.Timer{d.flush, d.move} {
		if t != nil && t.Stop() {
			d.calls.Done()
		}
	}
	d.mu.Unlock()
	d.calls.Wait()
}
