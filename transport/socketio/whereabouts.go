package socketio

import (
	"encoding/json"
	"slices"

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
	old := m.bySID[w.SID]
	if old != nil && old.Term > w.Term || m.late(w) {
		return false
	}
	if old != nil && old.PID != w.PID { // whose node died: its client has a new one
		delete(m.byPID, old.PID)
	}
	// Kept though it is where its names say: what is said of where it was before
	// may come late.
	m.bySID[w.SID], m.byPID[w.PID] = w, w
	return m.peers.Place(w.SID, w.node)
}

// outlived reports whether a socket is known to be somewhere in a later term: the
// node that gave its seat was silent for so long that it was taken to be dead, and
// does not know.
func (m *moves) outlived(id adapter.SocketID, term uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.bySID[id]
	return w != nil && w.Term > term || m.late(&whereabouts{SID: id, Term: term})
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
	m.bury(a.id, w.Term+1)
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
	if old := m.bySID[w.SID]; old == nil || old.Term <= w.Term {
		m.bury(w.SID, w.Term+1)
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

// changed is told of nodes that come and go. What was on one that goes is nowhere
// now. One that comes, and it may have been here all the time as far as it knows,
// is told what is here though its names say otherwise, and asked for the same.
func (m *moves) changed(node string, up bool) {
	if up {
		m.list(node)
		m.answer(node, &news{What: newsList})
		return
	}
	m.mu.Lock()
	var orphans []whereabouts
	for id, w := range m.bySID {
		if w.node != node || m.adopts[w.PID] != nil { // which comes back here
			continue
		}
		if w.given { // others may still know it to be here, and nobody else would tell them
			orphan := *w
			orphan.Term-- // what the node says of it, should it be back, counts
			orphans = append(orphans, orphan)
		}
		m.bury(id, w.Term)
		m.peers.Place(id, "")
	}
	m.mu.Unlock()
	for orphans := range slices.Chunk(orphans, batchPlaced) {
		m.tellAll(&news{What: newsGone, Placed: orphans})
	}
}

// list tells a node what is here though its names say otherwise.
func (m *moves) list(node string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var here []whereabouts
	for _, w := range m.bySID {
		if w.node == m.peers.Node() {
			here = append(here, *w)
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
