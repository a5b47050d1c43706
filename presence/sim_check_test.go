package presence_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carillonhq/carillon/presence"
)

const (
	bootTime = 6 * beat  // until a node that starts is held to anything
	healTime = 17 * beat // and one that could not talk to the others
)

// sound reports whether a node has run, and could talk to the others, for long
// enough at a time that it is held to what is promised.
func (n *simNode) sound(at time.Time) bool {
	if at.Sub(n.begin) < bootTime || !n.end.IsZero() && !at.Before(n.end) {
		return false
	}
	for _, s := range n.troubled {
		if !at.Before(s.from) && (s.to.IsZero() || at.Before(s.to.Add(healTime))) {
			return false
		}
	}
	return true
}

// safe returns when a session's node was first in trouble after the session
// began, or the last time.
func (s *session) safe(end time.Time) time.Time {
	for _, sp := range s.node.troubled {
		if sp.to.IsZero() || sp.to.Add(healTime).After(s.begin) {
			if sp.from.Before(end) {
				return sp.from
			}
		}
	}
	return end
}

// cover returns when a node n that is well must have the user online for the
// sake of this session: from soon after it began until its end, and its grace.
func (w *world) cover(n *simNode, s *session) (from, to time.Time) {
	if end := s.node.end; !end.IsZero() && end.Before(n.begin.Add(bootTime)) {
		return from, to // n may never have heard of that node
	}
	from, to = s.begin.Add(w.plan.join()), s.end
	if early := s.node.begin.Add(bootTime + w.plan.join()); from.Before(early) {
		from = early
	}
	if s.end.IsZero() {
		to = time.Now()
	}
	safe := s.safe(to)
	switch {
	case safe.Before(to):
		return from, safe
	case !s.end.IsZero() && !s.left && s.end.Sub(s.begin) >= w.plan.join():
		// A node that crashed may have said its last words long before.
		to = to.Add(grace - 1500*time.Millisecond)
		if end := s.node.end; !end.IsZero() && end.Before(to) && s.end.Before(end) {
			to = s.end.Add(5 * time.Second)
		}
		for _, o := range w.past { // the user came back, and said goodbye
			if o.user == s.user && o.left && o.id > s.id && !o.end.Before(s.end) && o.end.Before(to) {
				to = o.end
			}
		}
	}
	return from, to
}

// ghostly returns until when a session may keep its user online anywhere.
func (w *world) ghostly(s *session) time.Time {
	if s.end.IsZero() {
		return time.Now().Add(time.Hour)
	}
	end := s.end.Add(w.plan.bound())
	if n := s.node; !n.end.IsZero() && n.end.Before(s.end.Add(grace+beat)) {
		end = end.Add(grace) // what lingered gets its node's grace too
	}
	for _, sp := range s.node.troubled {
		if sp.to.IsZero() || sp.to.After(s.end) {
			if sp.to.IsZero() {
				return time.Now().Add(time.Hour)
			}
			if e := sp.to.Add(healTime); e.After(end) {
				end = e
			}
		}
	}
	return end
}

// all returns the sessions of a user.
func (w *world) all(user string) (ss []*session) {
	for id := 1; id <= w.last; id++ {
		if s := w.sessions[id]; s != nil && s.user == user {
			ss = append(ss, s)
		}
	}
	for _, s := range w.past {
		if s.user == user {
			ss = append(ss, s)
		}
	}
	return ss
}

// sample compares every well node's view with the truth: nobody is missing who
// was here for a while (I1, I3, I4), and no ghost is left (I2, I8, I13).
func (w *world) sample() {
	now := time.Now()
	for _, n := range w.slots {
		if n == nil || !n.sound(now) {
			continue
		}
		if wrong := n.tracker.Sound(); wrong != "" {
			w.fail("n%d: %s", n.slot, wrong)
		}
		for i := range 30 {
			user := fmt.Sprint("u", i)
			ghost, must := true, false
			for _, s := range w.all(user) {
				from, to := w.cover(n, s)
				must = must || !now.Before(from) && now.Before(to)
				ghost = ghost && now.After(w.ghostly(s))
			}
			online := n.tracker.Online(user)
			if must && !online {
				w.fail("n%d does not know that %s is online", n.slot, user)
			}
			if ghost && online {
				w.fail("n%d has %s for a ghost: %+v", n.slot, user, n.tracker.Devices(user))
			}
		}
	}
}

// awaitSynced waits until every node is sure of itself: where a fifth of all
// messages is lost, one is not at some moment now and then. That lasts no longer
// than it takes to be told.
func (w *world) awaitSynced() {
	for end := time.Now().Add(w.plan.quiet()); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		synced := true
		for _, n := range w.slots {
			synced = synced && (n == nil || n.tracker.State() == presence.Synced)
		}
		if synced {
			return
		}
	}
}

// check is done in the end, when all has been quiet.
func (w *world) check() {
	w.sample()
	truth := make(map[string]bool)
	for _, s := range w.sessions {
		truth[s.user] = true
	}
	var alive, first []*simNode
	for _, n := range w.slots {
		if n != nil {
			alive = append(alive, n)
		}
	}
	if len(alive) > 0 {
		first = alive[:1]
	}
	for _, n := range w.nodes {
		w.history(n)
	}
	for _, n := range alive {
		if s := n.tracker.State(); s != presence.Synced {
			w.fail("n%d is %v", n.slot, s)
		}
		if nodes, pulls, lingering := n.tracker.Kept(); nodes != len(alive)-1 || pulls != 0 || lingering != 0 {
			w.fail("n%d keeps %d nodes, %d questions, %d lingering devices", n.slot, nodes, pulls, lingering) // I9
		}
		for i := range 30 { // I1
			user := fmt.Sprint("u", i)
			if n.tracker.Online(user) != truth[user] {
				w.fail("in the end n%d has %s online: %v, the truth is %v", n.slot, user, !truth[user], truth[user])
			}
			for _, o := range first {
				mine, theirs := names(n.tracker.Devices(user)), names(o.tracker.Devices(user))
				if !slices.Equal(mine, theirs) {
					w.fail("n%d has %s on %v, n%d on %v", n.slot, user, mine, o.slot, theirs)
				}
				a, _ := n.tracker.Get(user)
				b, _ := o.tracker.Get(user)
				if a[0].Status != b[0].Status || a[0].Devices != b[0].Devices {
					w.fail("n%d has %+v, n%d %+v", n.slot, a[0], o.slot, b[0])
				}
			}
		}
		n.snapshotMatches(w)
		n.mu.Lock()
		w.tally.Repairs += n.repairs
		w.tally.Snapshots += n.snapshots
		w.tally.Changes += len(n.changes)
		if w.plan.steady() && n.repairs > 0 {
			w.fail("n%d asked for %d repairs, though nothing was lost", n.slot, n.repairs) // I11
		}
		if w.plan.steady() && n.snapshots != len(w.slots)-1 {
			w.fail("n%d asked for %d snapshots of %d others", n.slot, n.snapshots, len(w.slots)-1)
		}
		n.mu.Unlock()
	}
}

// steady reports that there was only churn.
func (p *plan) steady() bool { return p.seed%4 == 0 && p.loss == 0 }

func names(ds []presence.Device) (ns []string) {
	for _, d := range ds {
		ns = append(ns, fmt.Sprint(d.Node.Name, "/", d.ID, "/", d.Status, "/", d.Lost))
	}
	return ns
}

// snapshotMatches compares what a client makes of a snapshot and the changes
// since with the view (I6).
func (n *simNode) snapshotMatches(w *world) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.paged {
		for _, c := range n.early {
			n.reflect(c)
		}
	}
	users := 0
	for u := range n.tracker.All() {
		users++
		if !n.mirror[u.ID] {
			w.fail("n%d: a client misses %s", n.slot, u.ID)
		}
	}
	if users != len(n.mirror) {
		w.fail("n%d: a client has %d users, there are %d", n.slot, len(n.mirror), users)
	}
}

// history goes through the changes of a node: numbered without a hole, on and
// off in turn (I5), nobody offline who was covered (I3, I4, I12), and no storm
// from a node that is cut off (I10).
func (w *world) history(n *simNode) {
	n.mu.Lock()
	defer n.mu.Unlock()
	online := make(map[string]bool)
	for i, c := range n.changes {
		if c.Seq != uint64(i+1) {
			w.fail("n%d: change %d is numbered %d", n.slot, i+1, c.Seq)
		}
		switch {
		case c.Kind == presence.Updated:
			if !online[c.User] {
				w.fail("n%d: %v of %s, who is offline", n.slot, c.Kind, c.User)
			}
			continue
		case online[c.User] == (c.Kind == presence.Online):
			w.fail("n%d: %v of %s twice", n.slot, c.Kind, c.User)
		}
		online[c.User] = c.Kind == presence.Online
		if c.Kind != presence.Offline {
			continue
		}
		if n.sound(c.at) {
			for _, s := range w.all(c.User) {
				if from, to := w.cover(n, s); !c.at.Before(from) && c.at.Before(to) {
					w.fail("n%d: %s offline at %.3f, though covered from %.3f to %.3f by %v of %v", n.slot, c.User,
						c.at.Sub(w.start).Seconds(), from.Sub(w.start).Seconds(), to.Sub(w.start).Seconds(), w.tell(s), w.tellAll(c.User))
				}
			}
		}
		for _, sp := range n.troubled {
			// Within three beats, and one more, it notices.
			if !sp.hears && c.at.After(sp.from.Add(5*beat)) && (sp.to.IsZero() || c.at.Before(sp.to)) && !w.ours(n, c) {
				w.fail("n%d: %s offline at %.3f, though it was cut off", n.slot, c.User, c.at.Sub(w.start).Seconds())
			}
		}
	}
}

// ours reports whether a user was on this node lately.
func (w *world) ours(n *simNode, c change) bool {
	for _, s := range w.all(c.User) {
		if s.node == n && (s.end.IsZero() || c.at.Sub(s.end) < 10*time.Second) {
			return true
		}
	}
	return false
}

// tell describes a session for who reads of a violation.
func (w *world) tell(s *session) string {
	var text strings.Builder
	fmt.Fprintf(&text, "n%d %.3f-", s.node.slot, s.begin.Sub(w.start).Seconds())
	if !s.end.IsZero() {
		fmt.Fprintf(&text, "%.3f", s.end.Sub(w.start).Seconds())
	}
	if s.left {
		text.WriteString(" left")
	}
	if n := s.node; !n.end.IsZero() {
		fmt.Fprintf(&text, " (node ends %.3f, crash %v)", n.end.Sub(w.start).Seconds(), n.crashed)
	}
	for _, sp := range s.node.troubled {
		fmt.Fprintf(&text, " (trouble %.3f-%.3f)", sp.from.Sub(w.start).Seconds(), sp.to.Sub(w.start).Seconds())
	}
	return text.String()
}

func (w *world) tellAll(user string) (texts []string) {
	for _, s := range w.all(user) {
		texts = append(texts, w.tell(s))
	}
	return texts
}
