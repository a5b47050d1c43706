package socketio

import (
	"encoding/json"

	"github.com/carillonhq/carillon/adapter"
)

// seatOf returns the seat of this node that a pid is of, or nil.
func (n *Namespace) seatOf(pid string) *seat {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seats[pid]
}

// placed notes that a node has a seat. What is for its socket goes there. It is
// called under the sequencer or, if the seat is of another node, need not. It
// reports whether anything went to the node that was known to have it before.
func (m *moves) placed(w *whereabouts) (used bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.bySID[w.SID]; old != nil && old.Term > w.Term {
		return false
	}
	// Kept though it is where its names say: what is said of where it was before
	// may come late.
	m.bySID[w.SID], m.byPID[w.PID] = w, w
	return m.peers.Place(w.SID, w.node)
}

// delete needs mu.
func (m *moves) delete(id adapter.SocketID) {
	if w := m.bySID[id]; w != nil {
		delete(m.byPID, w.PID)
		delete(m.bySID, id)
	}
}

// own are those of a seat of this node.
func (m *moves) own(a *seat) whereabouts {
	a.mu.Lock()
	defer a.mu.Unlock()
	return whereabouts{SID: a.id, PID: a.pid, Term: a.term, node: m.peers.Node()}
}

// here has all nodes know that a seat has come here, and returns what placed
// does. It is called under the sequencer.
func (m *moves) here(a *seat) (used bool) {
	w := m.own(a)
	used = m.placed(&w)
	m.tellAll(&news{What: newsPlaced, Placed: []whereabouts{w}})
	return used
}

// vanished has all nodes forget a seat that is not where they would look for it.
func (m *moves) vanished(a *seat) {
	if m == nil {
		return
	}
	m.mu.Lock()
	w := m.bySID[a.id]
	if w == nil || w.node != m.peers.Node() {
		m.mu.Unlock()
		return
	}
	m.delete(a.id)
	m.mu.Unlock()
	m.peers.Place(a.id, "")
	m.tellAll(&news{What: newsGone, Placed: []whereabouts{*w}})
}

// lost has all nodes forget a seat that was to come here and could not be kept.
func (m *moves) lost(a *seat) {
	w := m.own(a)
	m.gone(w)
	m.tellAll(&news{What: newsGone, Placed: []whereabouts{w}})
}

// gone notes that another node has let a seat vanish.
func (m *moves) gone(w whereabouts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.bySID[w.SID]; old != nil && old.Term <= w.Term {
		m.delete(w.SID)
		m.peers.Place(w.SID, "")
	}
}

// whereIs returns the node that has a seat, as far as is known, or "".
func (m *moves) whereIs(pid string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.byPID[pid]; w != nil && w.node != m.peers.Node() {
		return w.node
	}
	return ""
}

// batchPlaced is how many seats one message tells of.
const batchPlaced = 1000

// changed is told of nodes that come and go. One that comes is told what is here
// though its names say otherwise; what was on one that goes is nowhere now.
func (m *moves) changed(node string, up bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var here []whereabouts
	for id, w := range m.bySID {
		switch {
		case up && w.node == m.peers.Node():
			here = append(here, *w)
		case !up && w.node == node && m.adopts[w.PID] == nil: // else it comes back here
			m.delete(id)
			m.peers.Place(id, "")
		}
	}
	for len(here) > 0 {
		n := min(batchPlaced, len(here))
		m.answer(node, &news{What: newsPlaced, Placed: here[:n]})
		here = here[n:]
	}
}

// who answers a node that looks for a seat.
func (m *moves) who(from string, n news) {
	if m.namespace.seatOf(n.PID) != nil {
		m.answer(from, &news{What: newsHere, Request: n.Request})
	}
}

// sendData has the seat's data changed on the node where it is.
func (a *seat) sendData(v any) {
	m := a.namespace.moves
	data, err := a.namespace.server.recovery.opts.encode(v)
	if err == nil {
		m.mu.Lock()
		w := m.bySID[a.id]
		m.mu.Unlock()
		node := adapterNode(a.id, w, m.peers.Node())
		err = m.tell(node, &news{What: newsData, SID: a.id, Data: data})
	}
	if err != nil {
		a.namespace.logger().Warn("data of a socket that has moved is not told", "socket", a.id, "error", err)
	}
}

// adapterNode returns the node that has a socket: where it was last known to be,
// or where it was made.
func adapterNode(id adapter.SocketID, w *whereabouts, self string) string {
	if w != nil {
		return w.node
	}
	return string(id[:min(len(id), len(self))])
}

// dataSet is told that a socket's data was set on a node where it was before.
func (m *moves) dataSet(n news) {
	m.namespace.mu.Lock()
	var a *seat
	for _, one := range m.namespace.seats {
		if one.id == n.SID {
			a = one
			break
		}
	}
	m.namespace.mu.Unlock()
	if a == nil {
		m.mu.Lock()
		w := m.bySID[n.SID]
		m.mu.Unlock()
		if w != nil && w.node != m.peers.Node() && n.Term < maxTries {
			n.Term++ // how often it was passed on
			m.answer(w.node, &n)
		}
		return
	}
	data, err := m.namespace.server.recovery.opts.decode(n.Data)
	if err != nil {
		m.namespace.logger().Error("data of a socket", "socket", n.SID, "error", err)
		return
	}
	a.mu.Lock()
	a.data = data
	a.mu.Unlock()
	a.bequeathData(data)
}

func (o *Recovery) encode(data any) (json.RawMessage, error) {
	if o.Encode != nil {
		return o.Encode(data)
	}
	return json.Marshal(data)
}

func (o *Recovery) decode(encoded json.RawMessage) (data any, err error) {
	switch {
	case len(encoded) == 0:
		return nil, nil
	case o.Decode != nil:
		return o.Decode(encoded)
	}
	err = json.Unmarshal(encoded, &data)
	return data, err
}
