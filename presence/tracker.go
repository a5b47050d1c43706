package presence

import (
	"iter"

	"github.com/carillonhq/carillon/broker"
)

// A Tracker is one node's view of who is here. All methods may be called
// concurrently, and none but Close waits for anything.
type Tracker struct{ bus *broker.Bus }

// New returns a Tracker on bus, which it does not close. A bus carries one
// Tracker, made right after the bus is opened.
func New(bus *broker.Bus, opts Options) *Tracker { opts.fill(); return &Tracker{bus: bus} }

// Track counts a device of a user in, as held by this node, until its Hold is
// let go. A device that this node holds already, or gives its grace, is held
// anew: the former Hold does nothing any more. It fails with ErrInvalid or
// ErrClosed.
func (t *Tracker) Track(user, device string, m Meta) (*Hold, error) { return nil, nil }

// A Hold is a device's place on this node. All methods may be called
// concurrently; those of a device that is held no more change nothing.
type Hold struct{ t *Tracker }

// Update replaces the device's metadata. It fails with ErrInvalid, ErrGone or
// ErrClosed.
func (h *Hold) Update(m Meta) error { return nil }

// Leave counts the device out at once: its user said goodbye.
func (h *Hold) Leave() {}

// Lose counts the device out after Options.Grace, unless it is tracked again,
// or its user is seen on another device: its connection was lost, or this node
// ended it and expects it back.
func (h *Hold) Lose() {}

// Drain tells the other nodes that this one is about to leave. Devices are
// still tracked; those that are lost get their grace as ever, and all that
// this node holds when it closes is given its grace by the others.
func (t *Tracker) Drain() {}

// Online reports whether a user has a device on any node, or is given a grace.
func (t *Tracker) Online(user string) bool { return false }

// Get returns what is known of each user, in the order asked, of those who
// are not online too. seq is the latest change that it shows.
func (t *Tracker) Get(users ...string) (states []User, seq uint64) { return nil, 0 }

// Devices returns a user's devices on all nodes, sorted by ID, then by node. A
// device that moves stands there twice, until its older place is given up.
func (t *Tracker) Devices(user string) []Device { return nil }

// Counts returns the totals.
func (t *Tracker) Counts() Counts { return Counts{} }

// Page returns some of the users that are online, at most limit and MaxPage:
// the first ones with after "", else those that follow the page whose Next it
// is. The order is fixed, the same on all nodes, and means nothing. Users that
// are online all the while are on one page each; those who come or go
// meanwhile may be missed, and stand in the changes. It fails with ErrCursor.
func (t *Tracker) Page(after string, limit int) (Page, error) { return Page{}, nil }

// All iterates over all users that are online, as Page does.
func (t *Tracker) All() iter.Seq[User] { return func(func(User) bool) {} }

// Watch calls f with every Change whose Seq is greater than seq, one at a
// time, in order, on a goroutine of the Tracker. f must not call Close. If it
// is so slow that too many changes wait, a Reset stands in their place. After
// cancel a call that is under way may still end.
func (t *Tracker) Watch(f func(Change)) (seq uint64, cancel func()) { return 0, func() {} }

// WatchState calls f with every State that follows now, which is the State at
// the time of the call. All else is as with Watch, on the same goroutine.
func (t *Tracker) WatchState(f func(State)) (now State, cancel func()) { return 0, func() {} }

// WatchReplaced calls f when a device that this node holds is tracked anew, on
// another node or here: of two places of one device, exactly one node is told
// so, that of the older one. The older Hold counts until it is let go. All
// else is as with Watch, on the same goroutine.
func (t *Tracker) WatchReplaced(f func(Replaced)) (cancel func()) { return func() {} }

// State tells how far the view can be trusted now.
func (t *Tracker) State() State { return Synced }

// Ready is closed once the view can be shown: when all nodes that were heard
// in the first two heartbeats have told all that they hold, or after five
// seconds, with or without a broker.
func (t *Tracker) Ready() <-chan struct{} { return nil }

// Nodes returns this node and all others that hold something or are up,
// sorted by name, then by ID.
func (t *Tracker) Nodes() []Node { return nil }

// Close stops tracking. The other nodes give all that this node still holds
// its grace. It may be called before the Bus is closed, and more than once,
// but not by a watcher.
func (t *Tracker) Close() error { return nil }
