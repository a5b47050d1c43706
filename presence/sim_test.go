package presence_test

import (
	"container/heap"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/presence"
)

const (
	grace = 8 * time.Second
	beat  = time.Second
)

// A world is one run of a plan: the cluster, what befalls it, and the truth.
type world struct {
	t     *testing.T
	plan  *plan
	hub   *memory.Hub
	start time.Time
	rnd   *rand.Rand
	todo  events
	order int

	slots    []*simNode // the node that runs in each slot; nil: none
	nodes    []*simNode // all that ever ran
	sessions map[int]*session
	past     []*session
	last     int // session

	mu    sync.Mutex // guards tape
	tape  []taped
	tally tally

	violations []string
}

type taped struct {
	topic string
	data  []byte
}

// A tally is what simulations were about.
type tally struct {
	Runs, Sessions, Changes, Crashes, Stops, Cuts, Pauses, Replays int
	Repairs, Snapshots                                             int
}

// A simNode is one run of one node.
type simNode struct {
	slot     int
	bus      *broker.Bus
	tracker  *presence.Tracker
	f        *faults
	begin    time.Time
	end      time.Time // zero: it runs
	crashed  bool
	troubled []span // when it could not talk to the others

	mu                 sync.Mutex // guards what follows
	changes            []change
	mirror             map[string]bool // built from a snapshot and the changes since
	early              []presence.Change
	paged              bool
	repairs, snapshots int
}

type change struct {
	presence.Change
	at time.Time
}

// A span is when a node was in trouble.
type span struct {
	from, to time.Time // to zero: it lasts
	hears    bool      // what the others say
}

// A session is one connection of a device.
type session struct {
	id           int
	user, device string
	node         *simNode
	hold         *presence.Hold
	begin, end   time.Time
	left         bool // it said goodbye
}

// An event is something to do at a time.
type event struct {
	at    time.Duration
	order int
	do    func()
}

type events []event

func (es events) Len() int { return len(es) }
func (es events) Less(i, j int) bool {
	return es[i].at < es[j].at || es[i].at == es[j].at && es[i].order < es[j].order
}
func (es events) Swap(i, j int) { es[i], es[j] = es[j], es[i] }
func (es *events) Push(x any)   { *es = append(*es, x.(event)) }
func (es *events) Pop() any {
	old := *es
	e := old[len(old)-1]
	*es = old[:len(old)-1]
	return e
}

func (w *world) at(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.todo, event{d, w.order, do})
}

func (w *world) since() time.Duration { return time.Since(w.start) }

func (w *world) fail(format string, a ...any) {
	if len(w.violations) < 20 {
		w.violations = append(w.violations, fmt.Sprintf("%8.3f  ", w.since().Seconds())+fmt.Sprintf(format, a...))
	}
}

// run lives through a plan and returns what was wrong.
func run(t *testing.T, p *plan, sum *tally) (violations []string) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, plan: p, hub: memory.NewHub(), start: time.Now(), rnd: rand.New(rand.NewPCG(p.seed, 7)),
			slots: make([]*simNode, p.nodes), sessions: make(map[int]*session),
		}
		for i := range w.slots {
			w.boot(i)
		}
		for _, s := range p.steps {
			w.at(s.at, func() { w.do(s) })
		}
		for at := time.Second; at < p.length; at += time.Second {
			w.at(at, w.sample)
		}
		w.drainEvents()
		w.calm()
		time.Sleep(p.quiet())
		synctest.Wait()
		w.awaitSynced()
		w.check()
		for _, n := range w.nodes {
			if n.end.IsZero() {
				n.tracker.Close()
				n.bus.Close()
			}
		}
		violations = w.violations
		w.tally.Runs = 1
		sum.add(w.tally)
	})
	return violations
}

func (w *world) drainEvents() {
	for len(w.todo) > 0 {
		e := heap.Pop(&w.todo).(event)
		if e.at > w.plan.length {
			return
		}
		if wait := e.at - w.since(); wait > 0 {
			time.Sleep(wait)
		}
		e.do()
	}
}

// boot starts a node in a slot.
func (w *world) boot(slot int) {
	if w.slots[slot] != nil {
		return
	}
	k := len(w.nodes)
	n := &simNode{slot: slot, begin: time.Now(), mirror: make(map[string]bool)}
	n.f = &faults{
		rand: rand.New(rand.NewPCG(w.plan.seed, uint64(k)+20)),
		loss: w.plan.loss, twice: w.plan.twice, late: w.plan.late,
		record: func(topic string, data []byte) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.tape) < 4000 {
				w.tape = append(w.tape, taped{topic, append([]byte(nil), data...)})
			}
		},
	}
	var err error
	n.bus, err = broker.Open(w.t.Context(), func(context.Context) (broker.Driver, error) {
		return faulty{w.hub.Driver(), n.f}, nil
	}, broker.Options{Node: fmt.Sprint("n", slot), Heartbeat: beat, Logger: silent})
	if err != nil {
		w.t.Fatal(err)
	}
	count := func(c *int) func(broker.Member) {
		return func(broker.Member) {
			n.mu.Lock()
			defer n.mu.Unlock()
			*c++
		}
	}
	n.tracker = presence.New(n.bus, presence.Options{
		Grace: grace, Heartbeat: beat, Logger: silent,
		Hooks: presence.Hooks{
			Repair: count(&n.repairs), Snapshot: count(&n.snapshots),
			Malformed: func(from broker.Member, err error) { w.t.Errorf("from %s: %v", from.Name, err) },
		},
	})
	if w.plan.seed%2 == 0 {
		n.tracker.Crowd(2) // few devices make one already
	}
	n.tracker.Watch(n.hear)
	w.nodes = append(w.nodes, n)
	w.slots[slot] = n
}

var silent = slog.New(slog.DiscardHandler)

// hear notes a change, and keeps the mirror up to date once it has a snapshot.
func (n *simNode) hear(c presence.Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changes = append(n.changes, change{c, time.Now()})
	if n.paged {
		n.reflect(c)
	} else {
		n.early = append(n.early, c)
	}
}

func (n *simNode) reflect(c presence.Change) {
	switch c.Kind {
	case presence.Online:
		n.mirror[c.User] = true
	case presence.Offline:
		delete(n.mirror, c.User)
	}
}

// snapshot reads the view in small pages, while it changes.
func (n *simNode) snapshot() {
	n.mu.Lock()
	n.paged, n.mirror = false, make(map[string]bool)
	n.mu.Unlock()
	first, after := uint64(0), ""
	users := make(map[string]bool)
	for i := 0; ; i++ {
		p, err := n.tracker.Page(after, 5)
		if err != nil {
			panic(err)
		}
		if i == 0 {
			first = p.Seq
		}
		for _, u := range p.Users {
			users[u.ID] = true
		}
		if after = p.Next; after == "" {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mirror = users
	for _, c := range n.early {
		if c.Seq > first {
			n.reflect(c)
		}
	}
	n.early, n.paged = nil, true
}
