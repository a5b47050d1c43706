package presence

// crowdSize is with how many devices a user is a crowd, such as one that all
// share who have not signed in. What a change takes must not grow with them.
const crowdSize = 32

// A crowd is an index of a user's entries, kept beside their list.
type crowd struct {
	at       map[seat]place
	statuses [2]map[string]int // how many say what: of those that are not live, and that are
}

// A seat is a device of a user on a node.
type seat struct {
	node *origin
	key  string
}

// A place is an entry and the one before it in the list.
type place struct{ e, before *entry }

func newCrowd(head *entry) *crowd {
	c := &crowd{at: make(map[seat]place), statuses: [2]map[string]int{make(map[string]int), make(map[string]int)}}
	var before *entry
	for e := head; e != nil; e = e.next {
		c.at[seat{e.node, e.key}] = place{e, before}
		c.count(e, 1)
		before = e
	}
	return c
}

// count has what e says count, or not any more, for n of 1 or -1.
func (c *crowd) count(e *entry, n int) {
	m, status := c.statuses[0], e.status()
	if e.live() {
		m = c.statuses[1]
	}
	if m[status] += n; m[status] == 0 {
		delete(m, status)
	}
}

// push takes note of a new head of the list.
func (c *crowd) push(e *entry) {
	c.at[seat{e.node, e.key}] = place{e: e}
	if next := e.next; next != nil {
		c.at[seat{next.node, next.key}] = place{next, e}
	}
	c.count(e, 1)
}

// remove takes note that e is about to leave the list, and returns the one
// before it.
func (c *crowd) remove(e *entry) (before *entry) {
	at := seat{e.node, e.key}
	before = c.at[at].before
	delete(c.at, at)
	if next := e.next; next != nil {
		c.at[seat{next.node, next.key}] = place{next, before}
	}
	c.count(e, -1)
	return before
}

// status is what statusOf says of the list.
func (c *crowd) status() string {
	m := c.statuses[1]
	if len(m) == 0 {
		m = c.statuses[0]
	}
	first, any := "", false
	for s := range m { // few, however many devices there are
		if !any || s < first {
			first, any = s, true
		}
	}
	return first
}

// find returns a node's entry of a user's device. t.mu is held.
func (t *Tracker) find(user string, n *origin, d *device) *entry {
	if c := t.crowds[user]; c != nil {
		return c.at[seat{n, d.key}].e
	}
	return find(t.head(user), n, d)
}

// status is what all devices of a user together say. t.mu is held.
func (t *Tracker) status(user string, head *entry) string {
	if c := t.crowds[user]; c != nil {
		return c.status()
	}
	return statusOf(head)
}

// gather makes a crowd of a user with many devices. t.mu is held.
func (t *Tracker) gather(head *entry) {
	n := 0
	for e := head; e != nil && n < t.crowded; e = e.next {
		n++
	}
	if n < t.crowded {
		return
	}
	if t.crowds == nil {
		t.crowds = make(map[string]*crowd)
	}
	t.crowds[head.user()] = newCrowd(head)
}

// thin gives a crowd up that few are left of; the rest gets a name that does
// not keep what has gone. t.mu is held.
func (t *Tracker) thin(c *crowd, user string, head *entry) {
	delete(t.crowds, user) // the key too: it may be part of what has gone
	if len(c.at) > t.crowded/2 {
		t.crowds[head.user()] = c
	}
}
