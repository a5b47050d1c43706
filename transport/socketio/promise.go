package socketio

import (
	"context"
	"sync"
	"time"

	"github.com/carillonhq/carillon/adapter"
)

// promiseTime is how long there is room for a seat that is to come.
const promiseTime = offerTimeout + leaseTime + time.Second

// promises are the seats that this node has said it would adopt. Until they come
// their namespaces stay open.
type promises struct {
	mu     sync.Mutex // guards all below
	to     map[promise]*time.Timer
	closed bool
}

type promise struct {
	namespace *Namespace
	pid       string
}

// make promises that there is room for a seat, if there is for so many; the
// namespace has been entered for it.
func (p *promises) make(one promise, room int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.to) >= room || p.to[one] != nil {
		return false
	}
	if p.to == nil {
		p.to = make(map[promise]*time.Timer)
	}
	p.to[one] = time.AfterFunc(promiseTime, func() {
		if p.end(one) {
			one.namespace.server.exit(one.namespace)
		}
	})
	return true
}

// end reports whether a promise had been made, and not ended.
func (p *promises) end(one promise) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.to[one]
	if t == nil {
		return false
	}
	t.Stop()
	delete(p.to, one)
	return true
}

// close ends all promises, without their namespaces, which end as well.
func (p *promises) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, t := range p.to {
		t.Stop()
	}
	p.to = nil
}

// offered answers a node that is about to stop.
func (m *moves) offered(from string, n news) {
	server := m.namespace.server
	pending := &server.recovery.pending
	if !pending.begin() {
		m.answer(from, &news{What: newsNo, Request: n.Request, Why: UnrecoveredUnreachable})
		return
	}
	go func() { // ends with what makes the namespace, and is awaited by recovery.close
		defer pending.end()
		answer := news{What: newsAccept, Request: n.Request}
		if answer.Why = server.promise(n); answer.Why != "" {
			answer.What = newsNo
		}
		m.answer(from, &answer)
	}()
}

// promise sees to it that there is room for a seat, or says why there is none.
func (s *Server) promise(n news) Unrecovered {
	if s.closing.Load() {
		return UnrecoveredUnreachable
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	to, err := s.enter(ctx, n.Namespace, new(Handshake))
	if err != nil {
		return UnrecoveredUnknown
	}
	why, r := Unrecovered(""), s.recovery
	switch {
	case to.moves == nil:
		why = UnrecoveredUnknown
	case to.seatOf(n.PID) != nil || to.moves.knows(n.PID, n.Term):
		why = UnrecoveredOvertaken
	case !r.promises.make(promise{to, n.PID}, r.opts.MaxParked-r.parking.len()):
		why = UnrecoveredTooMuch
	default:
		return ""
	}
	s.exit(to)
	return why
}

// adopted takes in a seat that was offered, and says so to the node that it comes
// from: first, so that it can take the seat back if it does not hear of it, when
// nobody else knows either that it was here.
func (m *moves) adopted(from string, n news, x *adapter.Transfer) {
	server, why := m.namespace.server, UnrecoveredUnreachable
	sure := false
	if !server.closing.Load() {
		why = m.namespace.admitSeat(n.Seat, x, false, func() {
			sure = true
			m.answer(from, &news{What: newsAdopted, Request: n.Request})
		})
	}
	if !sure {
		m.answer(from, &news{What: newsAdopted, Request: n.Request, Why: why})
	}
	if server.recovery.promises.end(promise{m.namespace, n.Seat.PID}) {
		server.exit(m.namespace)
	}
}

// knows reports whether a seat is elsewhere in a later term.
func (m *moves) knows(pid string, term uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.byPID[pid]
	return w != nil && w.Term > term
}

// outdone gives up a seat of this node that another has in a later term: this one
// was taken to be dead, or was too slow, and the seat came to the other instead.
func (m *moves) outdone(w *whereabouts) {
	a := m.namespace.seatOf(w.PID)
	if a == nil || a.id != w.SID {
		return
	}
	a.mu.Lock()
	later, died := a.term < w.Term, a.term+nextLife <= w.Term
	if later {
		a.term = w.Term
	}
	a.mu.Unlock()
	if !later {
		return
	}
	if died {
		m.peers.Outlive(a.id)
	}
	a.vacate(w.Term)
	a.drop(LapseClaimed)
}
