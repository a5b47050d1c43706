package presence

import (
	"fmt"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// Bounds on what is tracked.
const (
	MaxID   = 300      // bytes of a user's or a device's ID; each has one at least
	MaxMeta = 16 << 10 // bytes of a device's metadata, whatever Options.MaxMeta says
	MaxPage = 10_000   // users in one Page
	queued  = 1 << 18  // changes that wait for the watchers, before a Reset takes their place
	ringOps = 1 << 13  // of this node's latest changes, kept for those who missed some
	pageMax = 64 << 10 // bytes at which a page between nodes ends
	shards  = 64       // parts of what a node holds that are compared and repaired alone
	cells   = 20       // parts of a shard, each with a map of its own
)

// Meta is what is known of a device besides its ID. It is the device's own:
// the last one told of a device counts, whatever others of the user say.
type Meta struct {
	Name   string // for people: "Anna's phone"
	Status string // "away", "busy"…; empty: here
	Data   string // whatever else the application wants to tell, not looked at
}

func (m Meta) size() int { return len(m.Name) + len(m.Status) + len(m.Data) }

// A User is who is behind one or more devices.
type User struct {
	ID      string
	Online  bool
	Status  string   // see Status
	Devices int      // on all nodes, each ID counted once; those in their grace only if no other is left
	Nodes   []string // the names of the nodes that hold them, sorted
}

// A Device is one connection of a user, or its place during the grace.
type Device struct {
	ID string
	Meta
	Node  broker.Member // that holds it
	Since time.Time     // when it was tracked, as well as this node can tell
	Lost  bool          // it fell silent and is given its grace
	Down  bool          // its node is down and is given its grace: nothing reaches it
}

// Counts are the totals of a view.
type Counts struct {
	Users   int
	Devices int // those in their grace included
	Nodes   int // that are up, this one included
}

// A Kind says what a Change is.
type Kind uint8

// The kinds of changes.
const (
	// Online: the user's first device came.
	Online Kind = iota + 1
	// Offline: the user's last device has gone, and no grace is left.
	Offline
	// Updated: the user, who is online, has another Status.
	Updated
	// Reset: the watchers were too slow, and changes were dropped. What was
	// built from changes is to be read anew, by Tracker.Page. User is empty.
	Reset
)

var kindNames = [...]string{Online: "online", Offline: "offline", Updated: "updated", Reset: "reset"}

func (k Kind) String() string {
	if k < Online || int(k) >= len(kindNames) {
		return fmt.Sprintf("Kind(%d)", int(k))
	}
	return kindNames[k]
}

// A Change is news of a user. For one user Online and Offline alternate.
type Change struct {
	// Seq numbers the changes of this Tracker's view, without a hole, from 1.
	// It says nothing about other nodes' numbers.
	Seq    uint64
	Kind   Kind
	User   string
	Status string // of Online and Updated
}

// A Page is a part of all users that are online. The pages from the first to
// the last, and then all changes with a Seq greater than the first page's, in
// order, make a view without a hole: to set what is set already is harmless.
type Page struct {
	Users []User
	Seq   uint64 // the latest change that Users shows
	Next  string // asks for the next page; empty after the last one
}

// A Replaced tells that a device which this node holds was tracked anew, here
// or on another node, so that this node's connection of it is the older one.
type Replaced struct {
	User, Device string
	By           broker.Member
	Hold         *Hold // the older one
}

// A State says how far a view can be trusted.
type State uint8

// The states of a view.
const (
	// Synced: all that is known to be up has told all that it holds.
	Synced State = iota
	// Probation: a node has not yet told all that it holds. None of it counts
	// before: users may be missing.
	Probation
	// CutOff: this node does not hear itself through the broker. The view of
	// other nodes is what it was, and nobody is declared offline for silence.
	CutOff
)

var stateNames = [...]string{Synced: "synced", Probation: "probation", CutOff: "cut off"}

func (s State) String() string {
	if int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return stateNames[s]
}

// A Node is what one node of the cluster holds, as far as this one knows.
type Node struct {
	broker.Member
	Devices  int
	Synced   bool // it has told all
	Down     bool // it counts for the rest of its grace
	Draining bool // it is about to leave
}
