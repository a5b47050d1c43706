package presence

import (
	"cmp"
	"encoding/base64"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Online reports whether a user has a device on any node, or is given a grace.
func (t *Tracker) Online(user string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.head(user) != nil
}

// Get returns what is known of each user, in the order asked, of those who
// are not online too. seq is the latest change that it shows.
func (t *Tracker) Get(users ...string) (states []User, seq uint64) {
	states = make([]User, len(users))
	t.mu.RLock()
	defer t.mu.RUnlock()
	for i, user := range users {
		states[i] = describe(user, t.head(user))
	}
	return states, t.seq
}

func describe(id string, head *entry) User {
	return User{ID: id, Online: head != nil, Status: statusOf(head), Devices: count(head), Nodes: names(head)}
}

// Devices returns a user's devices on all nodes, sorted by ID, then by node. A
// device that moves stands there twice, until its older place is given up.
func (t *Tracker) Devices(user string) []Device {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var ds []Device
	for e := t.head(user); e != nil; e = e.next {
		d := Device{
			ID: e.id(), Node: e.node.Member, Lost: e.flags&flagLost != 0, Down: e.node.down,
			Since: e.tracked(),
		}
		if e.meta != nil {
			d.Meta = *e.meta
		}
		ds = append(ds, d)
	}
	slices.SortFunc(ds, func(a, b Device) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Node.Name, b.Node.Name), slices.Compare(a.Node.ID[:], b.Node.ID[:]))
	})
	return ds
}

// Counts returns the totals.
func (t *Tracker) Counts() Counts {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.counts()
}

func (t *Tracker) counts() Counts {
	c := Counts{Users: t.users, Devices: t.self.devices, Nodes: 1}
	for _, n := range t.nodes {
		c.Devices += n.devices
		if !n.down {
			c.Nodes++
		}
	}
	return c
}

// Page returns some of the users that are online, at most limit and MaxPage:
// the first ones with after "", else those that follow the page whose Next it
// is. The order is fixed, the same on all nodes, and means nothing. Users that
// are online all the while are on one page each; those who come or go
// meanwhile may be missed, and stand in the changes. It fails with ErrCursor.
func (t *Tracker) Page(after string, limit int) (Page, error) {
	cell, last, err := readCursor(after)
	if err != nil {
		return Page{}, err
	}
	limit = min(max(limit, 1), MaxPage)
	t.mu.RLock()
	defer t.mu.RUnlock()
	p := Page{Seq: t.seq}
	for ; cell < len(t.cells); cell, last = cell+1, "" {
		ids := make([]string, 0, len(t.cells[cell]))
		for id := range t.cells[cell] {
			if id > last {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		for _, id := range ids {
			if len(p.Users) == limit {
				p.Next = cursor(cell, last)
				return p, nil
			}
			p.Users = append(p.Users, describe(id, t.cells[cell][id]))
			last = id
		}
	}
	return p, nil
}

// A cursor names the cell where a page begins, and the user after whom.
func cursor(cell int, last string) string {
	return strconv.Itoa(cell) + "." + base64.RawURLEncoding.EncodeToString([]byte(last))
}

func readCursor(s string) (cell int, last string, err error) {
	if s == "" {
		return 0, "", nil
	}
	number, rest, _ := strings.Cut(s, ".")
	cell, err = strconv.Atoi(number)
	text, err2 := base64.RawURLEncoding.DecodeString(rest)
	if err != nil || err2 != nil || cell < 0 || cell >= shards*cells {
		return 0, "", ErrCursor
	}
	return cell, string(text), nil
}

// All iterates over all users that are online, as Page does.
func (t *Tracker) All() iter.Seq[User] {
	return func(yield func(User) bool) {
		for after := ""; ; {
			p, err := t.Page(after, 1000)
			if err != nil {
				return // never: the cursor is ours
			}
			for _, u := range p.Users {
				if !yield(u) {
					return
				}
			}
			if after = p.Next; after == "" {
				return
			}
		}
	}
}

// State tells how far the view can be trusted now.
func (t *Tracker) State() State {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.state
}

// Ready is closed once the view can be shown: when all nodes that were heard
// in the first two heartbeats have told all that they hold, or after five
// seconds, with or without a broker.
func (t *Tracker) Ready() <-chan struct{} { return t.ready }

// Nodes returns this node and all others that hold something or are up,
// sorted by name, then by ID.
func (t *Tracker) Nodes() []Node {
	t.mu.RLock()
	defer t.mu.RUnlock()
	ns := []Node{{Member: t.self.Member, Devices: t.self.devices, Synced: true, Draining: t.self.draining}}
	for n := range maps.Values(t.nodes) {
		ns = append(ns, Node{
			Member: n.Member, Devices: n.devices,
			Synced: n.unsynced == 0 && !n.doubt, Down: n.down, Draining: n.draining || n.left,
		})
	}
	slices.SortFunc(ns, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.ID[:], b.ID[:]))
	})
	return ns
}
