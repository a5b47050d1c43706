package adapter

import "slices"

// A Watcher is an Adapter that tells what becomes of its rooms: a Local is
// one, and so are those of a Cluster.
type Watcher interface {
	Adapter

	// WatchRooms has h called for what changes from then on, until stop is
	// called. Close ends it too; of the sockets that Close forgets nothing is
	// told.
	WatchRooms(h RoomHooks) (stop func())

	// Alone reports whether there are no other nodes at present. It is cheap.
	Alone() bool
}

// RoomHooks tell which sockets of this node are in which rooms, a socket's own
// among them, whoever made them join: its node or another. A nil field is
// skipped.
//
// They are called one at a time, in the order in which the changes took
// effect, without a lock held: they may call the Adapter, and should not block.
// Of changes made at the same time on several goroutines, one of these tells
// all, so that a change may be told a little after the call that made it.
type RoomHooks struct {
	Created func(room Room)              // the room is about to get its first member on this node
	Joined  func(room Room, id SocketID) // the socket is in it
	Left    func(room Room, id SocketID) // the socket is out of it, be it by its Remove
	Deleted func(room Room)              // the last member on this node has left
}

// watched is what Local keeps for RoomHooks; guarded by its mu.
type watched struct {
	by      []*RoomHooks // never changed, but replaced
	changes []roomChange // not told yet; empty while nobody watches
	telling bool         // a goroutine is in unlock, and will tell them all
}

type roomChange struct {
	kind roomChangeKind
	room Room
	id   SocketID
}

type roomChangeKind byte

const (
	roomCreated roomChangeKind = iota
	roomJoined
	roomLeft
	roomDeleted
)

// WatchRooms implements Watcher.
func (l *Local) WatchRooms(h RoomHooks) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return func() {}
	}
	l.watched.by = append(slices.Clip(l.watched.by), &h)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.watched.by = slices.DeleteFunc(slices.Clone(l.watched.by), func(other *RoomHooks) bool { return other == &h })
	}
}

// Alone implements Watcher: it is.
func (l *Local) Alone() bool { return true }

// Alone implements Watcher.
func (n *clustered) Alone() bool { return len(n.cluster.bus.Members()) == 0 }

// note keeps a change for unlock to tell. It needs mu.
func (l *Local) note(kind roomChangeKind, room Room, id SocketID) {
	if len(l.watched.by) > 0 {
		l.watched.changes = append(l.watched.changes, roomChange{kind, room, id})
	}
}

// unlock unlocks mu and tells what was noted, unless another goroutine is at
// it, which then goes on with ours: so the order of changes is kept though no
// lock is held.
func (l *Local) unlock() {
	defer l.mu.Unlock()
	for !l.watched.telling && len(l.watched.changes) > 0 {
		l.tell()
	}
}

// tell needs mu, and does without it meanwhile.
func (l *Local) tell() {
	changes, by := l.watched.changes, l.watched.by
	l.watched.changes, l.watched.telling = nil, true
	l.mu.Unlock()
	defer func() { // also if a hook panics
		l.mu.Lock()
		l.watched.telling = false
	}()
	for _, c := range changes {
		for _, h := range by {
			h.tell(c)
		}
	}
}

func (h *RoomHooks) tell(c roomChange) {
	f := h.Joined
	switch c.kind {
	case roomCreated:
		f = ignoreID(h.Created)
	case roomLeft:
		f = h.Left
	case roomDeleted:
		f = ignoreID(h.Deleted)
	}
	if f != nil {
		f(c.room, c.id)
	}
}

func ignoreID(f func(Room)) func(Room, SocketID) {
	if f == nil {
		return nil
	}
	return func(room Room, _ SocketID) { f(room) }
}
