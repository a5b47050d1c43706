package presence

import (
	"log/slog"
	"sync"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// defaultChannel is presence's name on the bus.
const defaultChannel = "presence"

// A Tracker is one node's view of who is here. All methods may be called
// concurrently, and none but Close waits for anything.
type Tracker struct {
	bus    *broker.Bus
	opts   Options
	log    *slog.Logger
	cancel func()        // of the watch on the bus
	kick   chan struct{} // tells the clock to look again
	done   chan struct{} // closed by Close
	ready  chan struct{} // closed when the view can be shown
	wg     sync.WaitGroup

	tell sync.Mutex // held while something is said; taken before mu

	mu     sync.RWMutex // guards what follows; never held across anything that waits
	closed bool
	view
	own
	watchers
	nodes   map[broker.NodeID]*origin // the others
	pulls   map[*origin]*pull         // what they ask
	serving bool

	nextBeat time.Time
	wake     time.Time    // when the clock is to look again
	link     broker.State // of the Bus
	frozen   bool         // the Bus does not hear itself
	deaf     bool         // one of the two: silence proves nothing
	up       time.Time    // when this was over last
	state    State
	shown    bool // ready is closed
}

// New returns a Tracker on bus, which it does not close. Make it right after
// the bus is opened; a bus carries one Tracker for each Options.Channel.
func New(bus *broker.Bus, opts Options) *Tracker {
	opts.fill()
	now := time.Now()
	t := &Tracker{
		bus:   bus,
		opts:  opts,
		log:   opts.Logger.With("node", bus.Self().Name),
		kick:  make(chan struct{}, 1),
		done:  make(chan struct{}),
		ready: make(chan struct{}),
		nodes: make(map[broker.NodeID]*origin),
		pulls: make(map[*origin]*pull),
		up:    now,
		view:  view{crowded: crowdSize},
		own: own{
			self:      origin{Member: bus.Self(), key: newHashKey(bus.Self().ID), born: now},
			holds:     make(map[*entry]*Hold),
			lingering: make(map[*entry]*linger),
		},
	}
	bus.Handle(t.opts.Channel, t.receive)
	t.cancel = bus.Watch(t.event)
	t.mu.Lock()
	// Those that were up before we watched. Who goes down from now on is told
	// to event, which waits for the lock.
	for _, m := range bus.Members() {
		t.meet(m)
	}
	t.link = bus.State()
	t.deaf = t.link != broker.Up
	t.judge()
	t.mu.Unlock()
	t.wg.Go(t.keepTime) // ends with Close
	return t
}

// Drain tells the other nodes that this one is about to leave. Devices are
// still tracked; those that are lost get their grace as ever, and all that
// this node holds when it closes is given its grace by the others.
func (t *Tracker) Drain() {
	t.mu.Lock()
	t.self.draining = true
	t.mu.Unlock()
	_ = t.speak(t.beat, t.toAll) // the next beat says it again
}

// Close stops tracking. The other nodes give all that this node still holds
// its grace. It may be called before the Bus is closed, and more than once,
// but not by a watcher.
func (t *Tracker) Close() error {
	t.cancel()
	t.bus.Handle(t.opts.Channel, nil)
	t.mu.Lock()
	first := !t.closed
	t.closed = true
	t.mu.Unlock()
	if first {
		close(t.done)
		bye := message{kind: kindBye, grace: uint64(t.opts.Grace.Milliseconds())}
		_ = t.speak(func() []message { return []message{bye} }, t.toAll) // without it we fall silent
	}
	t.wg.Wait()
	return nil
}
