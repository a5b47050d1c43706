package socketio

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillonhq/carillon/adapter"
)

// A seat is a client's place in a namespace, which it keeps for a while when
// its connection is lost: the Adapter knows it in place of the sockets that
// take it, one after the other, all of the same id.
//
// Locks are taken in this order: the log's sequencer, Socket.mu, seat.mu, and
// below it those of the Namespace, the Adapter and the parking.
type seat struct {
	namespace *Namespace
	id        adapter.SocketID
	pid       string
	entry     string // the offset that the client came with when the seat was new; not of this one
	start     adapter.Position
	born      time.Time
	came      time.Time // to this node

	// Of one that has come from another node.
	whole bool            // its client had nothing of it before start
	base  []adapter.Place // where start was on other nodes
	ahead string          // what its client had, or is to be sent from here: an adapter.Vector's Text
	moved bool            // it has come from another node,

	regained bool // which is dead, as far as is known
	back     bool // it has come back from a node that did not take it

	// Used under the sequencer alone.
	last adapter.Position // of the last packet that was for it
	sent adapter.Position // of the last one that was handed to its client's connection
	owed adapter.Position // of the first one since that was not; 0: there is none

	current atomic.Pointer[Socket] // changes under mu, to one that is let in

	mu      sync.Mutex // guards all below
	state   seatState
	term    uint64 // of the last claim
	data    any    // Socket.SetData's
	taken   time.Time
	granted *grant // nil unless another node may have it

	kept  atomic.Bool   // by other nodes, see will
	roomy atomic.Int64  // when its rooms changed last, in Unix nanoseconds
	edits atomic.Uint64 // of data

	// Guarded by parking.mu.
	place *list.Element
	until time.Time
}

type seatState int

const (
	seatNew    seatState = iota // its first socket is not let in yet
	seatTaken                   // by current
	seatParked                  // its client is away
	seatMoved                   // to another node
	seatGone
)

var _ adapter.Answerer = (*seat)(nil)

func newSeat(n *Namespace, entry string) *seat {
	return &seat{namespace: n, id: n.adapter.NewID(), pid: n.newPID(), entry: entry, whole: true, born: time.Now()}
}

// ID implements adapter.Socket.
func (a *seat) ID() adapter.SocketID { return a.id }

// Deliver implements adapter.Socket. It is called under the sequencer, and so
// never while a socket takes the seat.
func (a *seat) Deliver(p *adapter.Packet) bool {
	if !p.Volatile {
		a.last = p.Position()
	}
	s := a.current.Load()
	if s == nil || !s.Connected() || !s.deliver(shared(p), p.Volatile) {
		if !p.Volatile && a.owed == 0 {
			a.owed = p.Position()
		}
		return false
	}
	if !p.Volatile {
		a.sent, a.owed = p.Position(), 0
	}
	return true
}

// behind returns the last position that a client who stands at from need not be
// sent, however little the log still holds: nothing is for it between what it has
// and what it is owed. It is called under the sequencer.
func (a *seat) behind(from adapter.Position) adapter.Position {
	switch {
	case from >= a.last:
		return max(from, a.namespace.log.Head())
	case from >= a.sent && a.owed > from:
		return a.owed - 1
	}
	return from
}

// Disconnect implements adapter.Socket.
func (a *seat) Disconnect(close bool) {
	for {
		switch s := a.current.Load(); {
		case s == nil && a.is(seatNew): // not let in yet
			return
		case s == nil: // parked, and never taken here
		case close:
			s.client.disconnect()
		default:
			s.leave()
		}
		if a.is(seatMoved) {
			_ = a.namespace.adapter.DisconnectAll(a.target(), close) // which logs what goes wrong
			return
		}
		// Its client may have gone meanwhile, and even have come back.
		if a.drop(LapseDisconnected) || a.is(seatGone) {
			return
		}
	}
}

// target selects the seat, wherever it is.
func (a *seat) target() adapter.Target {
	return adapter.Target{Rooms: []adapter.Room{adapter.Room(a.id)}}
}

// Info implements adapter.Socket.
func (a *seat) Info() []byte {
	s := a.current.Load()
	if s == nil {
		return nil
	}
	return (&socketAdapter{s}).Info()
}

// Ask implements adapter.Answerer.
func (a *seat) Ask(p *adapter.Packet, answer func(body []byte, ok bool)) bool {
	s := a.current.Load()
	return s != nil && s.Connected() && (&socketAdapter{s}).Ask(p, answer)
}

// Forget implements adapter.Answerer.
func (a *seat) Forget(p *adapter.Packet) {
	if s := a.current.Load(); s != nil {
		(&socketAdapter{s}).Forget(p)
	}
}

func (a *seat) is(state seatState) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state == state
}

// open lets the first socket take the seat. It is called under the sequencer
// and s.mu.
func (a *seat) open(s *Socket) {
	n := a.namespace
	a.start, a.came = n.log.Head(), time.Now()
	a.last, a.sent = a.start, a.start
	a.mu.Lock()
	a.state, a.taken = seatTaken, time.Now()
	a.current.Store(s)
	a.mu.Unlock()
	n.adapter.Add(a, s.rooms...)
	n.mu.Lock()
	n.seats[a.pid] = a
	n.mu.Unlock()
	a.bequeath(s.rooms, true)
	if s.restored && n.moves != nil {
		n.moves.here(a)
	}
}

// park keeps the seat for its client to come back. crowded, unless nil, has to
// be dropped for it. It is called under the mu of the socket that has it.
func (a *seat) park() (crowded *seat) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state = seatParked
	a.amend(&will{Version: willVersion, Parked: true})
	a.namespace.log.Park(a.id)
	return a.namespace.server.recovery.parking.add(a, 0)
}

// leave gives up a seat that is taken. It is called under the mu of its socket.
func (a *seat) leave() {
	a.mu.Lock()
	a.state = seatGone
	a.mu.Unlock()
	a.vanish()
}

// drop gives up a seat that is parked; it reports false if it is not.
func (a *seat) drop(why Lapse) bool {
	n := a.namespace
	parking := &n.server.recovery.parking
	a.mu.Lock()
	if a.state != seatParked || why == LapseExpired && !parking.over(a) {
		a.mu.Unlock()
		return false
	}
	a.state = seatGone
	parking.remove(a)
	a.mu.Unlock()
	a.vanish()
	if f := n.hooks().Lapsed; f != nil {
		f(n.name, why)
	}
	n.server.exit(n)
	return true
}

// quit is drop without a word: its end is told of elsewhere.
func (a *seat) quit() {
	n := a.namespace
	a.mu.Lock()
	parked := a.state == seatParked
	if parked {
		a.state = seatGone
		n.server.recovery.parking.remove(a)
	}
	a.mu.Unlock()
	if parked {
		a.vanish()
		n.server.exit(n)
	}
}

func (a *seat) vanish() {
	n := a.namespace
	n.mu.Lock()
	delete(n.seats, a.pid)
	n.mu.Unlock()
	n.adapter.Remove(a.id)
	n.moves.vanished(a)
	a.revoke()
}

// vacate fences the socket that has the seat, if one does: its client is back
// on another connection before the end of this one was noticed. It returns the
// last socket that had the seat, or nil, and does nothing, if there is a later
// claim than that of this term.
func (a *seat) vacate(term uint64) *Socket {
	for {
		a.mu.Lock()
		s, taken, overtaken := a.current.Load(), a.state == seatTaken, a.term != term
		a.mu.Unlock()
		switch {
		case overtaken:
			return nil
		case !taken:
			return s
		}
		s.park(Reason(reasonFenced))
		s.client.session.Abort(reasonFenced)
	}
}
