// Package edge tells a back end of each user's coming and going, once in all
// that the cluster has nodes, and more often rather than never.
//
// Every node sees the same edges: a user who comes, or goes. Of each, one node
// tells, by a rule that every node computes from its own view: of the nodes
// that are up and not about to leave, the one whose hash with the user's name
// is the highest. It says to the others that it has the edge to tell, and says
// so again when the back end has taken it. Until then the others remember the
// edge. If the node that has it goes down, or the one that the rule named begins
// to leave before it said so, the rule names another one.
//
// Where views differ the rule may name nobody, or two. So whoever is next by
// the rule tells what nobody has taken after Patience, the one behind it after
// twice that time, and so on.
//
// A node that starts waits until its view can be shown (presence.Tracker.Ready),
// and takes nobody for news who is on another node then.
//
// An edge is told twice if a node crashed, or could not be heard, between the
// answer of the back end and the word of it; if two nodes see different
// members at the time; and if word of it takes longer than Patience. A node
// that cannot be heard is gone to the others, and so are its users; when it is
// back, they are told to be, too.
//
// An edge is missed if the nodes that know of it all end before one could tell:
// when the last node stops, nobody tells that its users are gone. Of a user's
// edges that follow each other while the node that has them crashes, only the
// last one is told again. And if presence drops changes (presence.Reset) some
// are missed, of which the logger hears.
package edge

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/presence"
)

// Patience is how long the next node by the rule waits for word that an edge
// is being told.
const Patience = 5 * time.Second

const (
	look   = time.Second // between two looks at what has to be told late
	memory = time.Minute // in which a node sees an edge of which it has heard; else it sees none
)

// An Edge is the coming or going of a user.
type Edge struct {
	User   string `json:"user"`
	Online bool   `json:"online"`
}

// Options are what a Teller works with. Send is required.
type Options struct {
	Online, Offline bool // which edges are told

	// Send has the back end told, and must not wait. It reports false if there
	// is no room for it: then other nodes may tell. It is called with a lock
	// held, and must not call the Teller.
	Send func(Edge) bool

	Logger *slog.Logger // Default: slog.Default().
}

// A Teller tells what is this node's to tell. All methods may be called
// concurrently.
type Teller struct {
	bus   *broker.Bus
	users *presence.Tracker
	opts  Options
	stops []func()
	done  chan struct{} // closed by Close
	wg    sync.WaitGroup

	say sync.Mutex // held from Send to the word of it, so that word of the end comes behind; taken before mu

	mu     sync.Mutex // guards all below
	closed bool
	ready  bool   // the view can be shown; nothing is told before
	shown  uint64 // what it began with is numbered up to here
	notes  map[string]*note
}

// A note is what is known of a user's latest edge, until it is settled.
type note struct {
	seen  state     // what this node's view has
	since time.Time // when it saw that

	told    state         // what is being told, or was
	by      broker.NodeID // who does
	settled bool          // the back end has taken it, or nobody can make it
	at      time.Time     // when this was heard
}

type state uint8

const (
	unknown state = iota
	online
	offline
)

func stateOf(isOnline bool) state {
	if isOnline {
		return online
	}
	return offline
}

// open reports whether nobody is known to tell what was seen.
func (n *note) open() bool { return n.seen != unknown && n.seen != n.told }

// New returns a Teller of what users sees. Make it before clients connect, on
// every node of bus, and close it before both.
func New(bus *broker.Bus, users *presence.Tracker, opts Options) *Teller {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	t := &Teller{bus: bus, users: users, opts: opts, done: make(chan struct{}), notes: make(map[string]*note)}
	bus.Handle(channel, t.receive)
	_, stop := users.Watch(t.changed)
	t.stops = append(t.stops, stop, bus.Watch(t.event))
	t.wg.Go(t.keepTime) // ends with Close
	return t
}

// Close tells nothing more, but passes on what Settled is told.
func (t *Teller) Close() {
	for _, stop := range t.stops {
		stop()
	}
	t.bus.Handle(channel, nil)
	t.mu.Lock()
	first := !t.closed
	t.closed = true
	t.mu.Unlock()
	if first {
		close(t.done)
	}
	t.wg.Wait()
}

// changed takes a change of the view.
func (t *Teller) changed(c presence.Change) {
	switch c.Kind {
	case presence.Online, presence.Offline:
	case presence.Reset:
		t.opts.Logger.Warn("too many users came and went at once: the back end is not told of some of them")
		return
	default:
		return
	}
	seen := stateOf(c.Kind == presence.Online)
	t.mu.Lock()
	n := t.notes[c.User]
	switch early := !t.ready || c.Seq <= t.shown; {
	case seen == online && !t.opts.Online, seen == offline && (!t.opts.Offline || early && n != nil && n.told == unknown):
		delete(t.notes, c.User) // what was told before counts no more
		t.mu.Unlock()
		return
	case early && n == nil && (seen == offline || t.elsewhere(c.User)):
		t.mu.Unlock()
		return // this node learns what the others know
	}
	n = t.note(c.User)
	n.seen, n.since = seen, time.Now()
	mine := t.ready && n.open() && t.rank(c.User) == 0
	t.forget(c.User, n)
	t.mu.Unlock()
	if mine {
		t.tell(c.User, seen)
	}
}

// elsewhere reports whether another node holds a device of a user.
func (t *Teller) elsewhere(user string) bool {
	self := t.bus.Self().ID
	return slices.ContainsFunc(t.users.Devices(user), func(d presence.Device) bool { return d.Node.ID != self })
}

// show follows the moment from which changes are news. Of those that this node
// has seen before, the ones of its own users are told now.
func (t *Teller) show() {
	_, seq := t.users.Get()
	t.mu.Lock()
	t.ready, t.shown = true, seq
	for user, n := range t.notes {
		if n.seen == online && n.told == unknown && t.elsewhere(user) {
			delete(t.notes, user)
		}
	}
	t.mu.Unlock()
	t.review()
}

// note returns what is known of a user. It needs mu.
func (t *Teller) note(user string) *note {
	n := t.notes[user]
	if n == nil {
		n = new(note)
		t.notes[user] = n
	}
	return n
}

// forget drops a note that is of no use any more. It needs mu.
func (t *Teller) forget(user string, n *note) {
	switch {
	case n.seen == unknown && n.told == unknown,
		n.settled && n.seen == n.told,
		n.seen == unknown && time.Since(n.at) > memory:
		delete(t.notes, user)
	}
}

// tell has the back end told, and the others know.
func (t *Teller) tell(user string, s state) {
	t.say.Lock()
	defer t.say.Unlock()
	t.mu.Lock()
	n := t.notes[user]
	if t.closed || n == nil || n.seen != s || !n.open() {
		t.mu.Unlock()
		return // somebody else was faster
	}
	n.told, n.by, n.settled, n.at = s, t.bus.Self().ID, false, time.Now()
	t.mu.Unlock()
	e := Edge{user, s == online}
	if t.opts.Send(e) {
		t.broadcast(word{Taken: []Edge{e}})
		return
	}
	t.mu.Lock() // the others will
	delete(t.notes, user)
	t.mu.Unlock()
}

// Settled says that the back end has taken edges that Send was given, or that
// nobody can make it.
func (t *Teller) Settled(edges []Edge) {
	if len(edges) == 0 {
		return
	}
	t.say.Lock()
	defer t.say.Unlock()
	t.settle(edges)
	t.broadcast(word{Settled: edges})
}

func (t *Teller) settle(edges []Edge) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range edges {
		if n := t.notes[e.User]; n != nil && n.told == stateOf(e.Online) {
			n.settled = true
			t.forget(e.User, n)
		}
	}
}

// keepTime tells late what nobody else tells.
func (t *Teller) keepTime() {
	ready := t.users.Ready()
	for tick := time.NewTicker(look); ; {
		select {
		case <-ready:
			ready = nil // once
			t.show()
		case <-tick.C:
			t.review()
		case <-t.done:
			tick.Stop()
			return
		}
	}
}

// review tells what is this node's to tell by now.
func (t *Teller) review() {
	now := time.Now()
	var due []Edge
	t.mu.Lock()
	for user, n := range t.notes {
		if t.ready && n.open() && now.Sub(n.since) >= time.Duration(t.rank(user))*Patience {
			due = append(due, Edge{user, n.seen == online})
		}
		t.forget(user, n)
	}
	t.mu.Unlock()
	for _, e := range due {
		t.tell(e.User, stateOf(e.Online))
	}
}
