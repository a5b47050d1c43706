package presence

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// channel is presence's name on the bus.
const channel = "presence"

// A Tracker is one node's view of who is here. All methods may be called
// concurrently and none waits for another node.
type Tracker struct {
	bus    *broker.Bus
	opts   Options
	cancel func() // of the watch on the bus

	tell sync.Mutex // held from a change of own to its message: others see them in order

	mu       sync.Mutex // guards all below; taken after tell
	closed   bool
	own      map[string]map[string]struct{} // user → devices here
	nodes    map[broker.NodeID]*node        // the others
	total    map[string]int                 // user → devices on all nodes
	watchers map[int]func(Change)
	nextID   int
	changes  []Change // not yet told to the watchers
	telling  bool
	retry    *time.Timer    // tells all others all; nil while there is no need
	wg       sync.WaitGroup // the goroutines that notify and retell
}

// node is what another node holds, as far as it has told.
type node struct {
	name     string
	held     map[string]int // user → devices
	incoming map[string]int // pages that came so far; nil outside of a series
}

// New returns a Tracker on bus, which it does not close. A bus carries one
// Tracker.
func New(bus *broker.Bus, opts Options) *Tracker {
	t := &Tracker{
		bus:      bus,
		opts:     opts,
		own:      make(map[string]map[string]struct{}),
		nodes:    make(map[broker.NodeID]*node),
		total:    make(map[string]int),
		watchers: make(map[int]func(Change)),
	}
	bus.Handle(channel, t.receive)
	t.cancel = bus.Watch(t.event)
	for _, m := range bus.Members() {
		// Those that were up before we watched: they have told us nothing.
		t.meet(m)
	}
	return t
}

// Track counts a device of a user in, as held by this node. A device that is
// counted already changes nothing.
func (t *Tracker) Track(user, device string) {
	t.tell.Lock()
	defer t.tell.Unlock()
	t.mu.Lock()
	devices := t.own[user]
	if _, ok := devices[device]; ok || t.closed {
		t.mu.Unlock()
		return
	}
	if devices == nil {
		devices = make(map[string]struct{}, 1)
		t.own[user] = devices
	}
	devices[device] = struct{}{}
	t.add(user, 1)
	e := entry{user, len(devices)}
	t.mu.Unlock()
	t.broadcast(e)
}

// Untrack counts a device of a user out. An unknown one changes nothing.
func (t *Tracker) Untrack(user, device string) {
	t.tell.Lock()
	defer t.tell.Unlock()
	t.mu.Lock()
	devices := t.own[user]
	if _, ok := devices[device]; !ok || t.closed {
		t.mu.Unlock()
		return
	}
	delete(devices, device)
	if len(devices) == 0 {
		delete(t.own, user)
	}
	t.add(user, -1)
	e := entry{user, len(devices)}
	t.mu.Unlock()
	t.broadcast(e)
}

// broadcast tells the others. If the Bus does not take it, because its buffer
// is full, they are told all, later. It needs tell.
func (t *Tracker) broadcast(e entry) {
	if err := t.bus.Broadcast(channel, appendChange(nil, e)); err != nil && !errors.Is(err, broker.ErrClosed) {
		t.retell()
	}
}

// Online reports whether a user has a device on any node.
func (t *Tracker) Online(user string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total[user] > 0
}

// Users returns all users that are online, sorted by ID.
func (t *Tracker) Users() []User {
	t.mu.Lock()
	defer t.mu.Unlock()
	nodes := make(map[string][]string, len(t.total))
	self := t.bus.Self().Name
	for user := range t.own {
		nodes[user] = append(nodes[user], self)
	}
	for _, n := range t.nodes {
		for user := range n.held {
			nodes[user] = append(nodes[user], n.name)
		}
	}
	users := make([]User, 0, len(t.total))
	for _, user := range slices.Sorted(maps.Keys(t.total)) {
		slices.Sort(nodes[user])
		users = append(users, User{ID: user, Devices: t.total[user], Nodes: nodes[user]})
	}
	return users
}

// Watch calls f with every Change from now on, one at a time, in order, on a
// goroutine of the Tracker. It must not call Close.
func (t *Tracker) Watch(f func(Change)) (cancel func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := t.nextID
	t.nextID++
	t.watchers[id] = f
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.watchers, id)
	}
}

// Close stops tracking. The other nodes count this one's devices until its
// Bus is closed.
func (t *Tracker) Close() error {
	t.cancel()
	t.bus.Handle(channel, nil)
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	clear(t.watchers)
	if t.retry != nil && t.retry.Stop() {
		t.wg.Done()
	}
	t.mu.Unlock()
	t.wg.Wait()
	return nil
}

// add changes a user's total. It needs mu.
func (t *Tracker) add(user string, n int) {
	if n == 0 {
		return
	}
	before := t.total[user]
	if before+n == 0 {
		delete(t.total, user)
	} else {
		t.total[user] = before + n
	}
	if before != 0 && before+n != 0 {
		return
	}
	t.changes = append(t.changes, Change{User: user, Online: before == 0})
	if !t.telling && !t.closed {
		t.telling = true
		t.wg.Go(t.notify) // ends when all is told
	}
}

func (t *Tracker) notify() {
	for {
		t.mu.Lock()
		if len(t.changes) == 0 {
			t.telling = false
			t.mu.Unlock()
			return
		}
		changes := t.changes
		t.changes = nil
		watchers := slices.Collect(maps.Values(t.watchers))
		t.mu.Unlock()
		for _, c := range changes {
			for _, f := range watchers {
				f(c)
			}
		}
	}
}
