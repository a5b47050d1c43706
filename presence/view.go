package presence

import (
	"slices"
	"time"
)

// A view is all devices that count, by user. What another node holds counts
// once that node has told all that it holds in that shard (see origin.unsynced);
// before, it is not even kept. So a user is online if there is an entry.
type view struct {
	cells   [shards * cells]map[string]*entry // user → the first of their devices
	users   int
	crowds  map[string]*crowd // users with many devices
	crowded int               // how many
	seq     uint64            // of the latest change
	made    int               // changes since the last beat
}

// An entry is one device on one node.
type entry struct {
	device
	next *entry // another device of the user
	node *origin
}

// tracked returns when the device was tracked, as well as this node can tell.
func (e *entry) tracked() time.Time {
	return e.node.born.Add(time.Duration(e.since) * 10 * time.Millisecond)
}

// find returns the node's entry of a device.
func find(head *entry, n *origin, d *device) *entry {
	for e := head; e != nil; e = e.next {
		if e.node == n && e.same(d) {
			return e
		}
	}
	return nil
}

// statusOf is what all devices of a user together say: those that are live
// count, or if there is none, all. One without a status is here, and so is the
// user; of several statuses it is the first in the alphabet, so that all nodes
// say the same.
func statusOf(head *entry) (status string) {
	if head == nil {
		return ""
	}
	found, live := false, false
	for e := head; e != nil; e = e.next {
		s, l := e.status(), e.live()
		if !found || l && !live || l == live && s < status {
			status = s
		}
		found, live = true, live || l
	}
	return status
}

// put makes n's entry of d what d says, and tells the watchers of what that
// changes for the user. It returns the entry, nil if d is gone. t.mu is held.
func (t *Tracker) put(n *origin, d *device) *entry {
	user := d.user()
	cell := cellOf(user)
	m := t.cells[cell]
	head := m[user]
	c := t.crowds[user]
	status := t.status(user, head)
	digest := &n.digests[shardOf(cell)]

	e := t.find(user, n, d)
	switch {
	case e == nil && d.flags&flagGone != 0:
		return nil
	case e == nil:
		if m == nil {
			m = make(map[string]*entry)
			t.cells[cell] = m
		}
		e = &entry{device: *d, node: n, next: head}
		*digest ^= n.key.hash(d)
		n.devices++
		m[e.user()] = e
		if head == nil {
			t.users++
			t.change(Online, e.user(), d.status())
			return e
		}
		head = e
		if c != nil {
			c.push(e)
		} else {
			t.gather(head)
		}
	case d.flags&flagGone != 0:
		*digest ^= n.key.hash(&e.device)
		n.devices--
		var before *entry
		if c != nil {
			before = c.remove(e)
		}
		if head == e {
			head = e.next
			delete(m, user) // the key too: it is part of e
			if head != nil {
				m[head.user()] = head
			}
		} else {
			if before == nil {
				before = head
			}
			for before.next != e {
				before = before.next
			}
			before.next = e.next
		}
		if c != nil {
			t.thin(c, user, head)
		}
		e.next, e.node = nil, nil
		if head == nil {
			t.users--
			t.change(Offline, user, "")
			return nil
		}
		e = nil
	default:
		*digest ^= n.key.hash(&e.device) ^ n.key.hash(d)
		if c != nil {
			c.count(e, -1)
		}
		e.meta, e.since, e.flags = d.meta, d.since, d.flags
		if c != nil {
			c.count(e, 1)
		}
	}
	if s := t.status(head.user(), head); s != status {
		t.change(Updated, head.user(), s)
	}
	return e
}

// replace makes all that n holds in a shard what ds says. t.mu is held.
func (t *Tracker) replace(n *origin, shard int, ds []device) {
	type name struct {
		key  string
		ulen uint8
	}
	told := make(map[name]bool, len(ds))
	for i := range ds {
		told[name{ds[i].key, ds[i].ulen}] = true
	}
	var gone []device
	for e := range t.held(n, shard) {
		if !told[name{e.key, e.ulen}] {
			gone = append(gone, e.device)
		}
	}
	// What came is first, so that a user whose device has changed stays online.
	for i := range ds {
		t.take(n, &ds[i])
	}
	for i := range gone {
		gone[i].flags |= flagGone
		t.put(n, &gone[i])
	}
}

// held iterates over what n holds in a shard. t.mu is held.
func (t *Tracker) held(n *origin, shard int) func(yield func(*entry) bool) {
	return func(yield func(*entry) bool) {
		for _, m := range t.cells[shard*cells : (shard+1)*cells] {
			for _, head := range m {
				for e := head; e != nil; e = e.next {
					if e.node == n && !yield(e) {
						return
					}
				}
			}
		}
	}
}

// clear drops all that n holds in a shard. t.mu is held.
func (t *Tracker) clear(n *origin, shard int) {
	var gone []device
	for e := range t.held(n, shard) {
		gone = append(gone, e.device)
	}
	for i := range gone {
		gone[i].flags |= flagGone
		t.put(n, &gone[i])
	}
}

// head returns the first of a user's devices. t.mu is held.
func (t *Tracker) head(user string) *entry { return t.cells[cellOf(user)][user] }

// change numbers a change and has the watchers told. t.mu is held.
func (t *Tracker) change(k Kind, user, status string) {
	t.seq++
	t.made++
	t.note(note{change: Change{Seq: t.seq, Kind: k, User: user, Status: status}})
}

// names returns the nodes that hold a user's devices.
func names(head *entry) []string {
	var ns []string
	for e := head; e != nil; e = e.next {
		ns = append(ns, e.node.Name)
	}
	slices.Sort(ns)
	return slices.Compact(ns)
}

// count returns how many devices a user has, each ID once: those that are
// live, or if there is none, all.
func count(head *entry) int {
	switch {
	case head == nil:
		return 0
	case head.next == nil:
		return 1
	}
	live := make(map[string]struct{})
	lost := make(map[string]struct{})
	for e := head; e != nil; e = e.next {
		if e.live() {
			live[e.id()] = struct{}{}
		} else {
			lost[e.id()] = struct{}{}
		}
	}
	if len(live) > 0 {
		return len(live)
	}
	return len(lost)
}
