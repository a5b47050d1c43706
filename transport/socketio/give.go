package socketio

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/carillonhq/carillon/adapter"
)

// leaseTime is how long a seat is granted to another node.
const leaseTime = 5 * time.Second

// A grant says who may take a seat to another node.
type grant struct {
	node  string
	term  uint64
	until time.Time
	from  adapter.Position // where its client stands
	after adapter.Place    // and on what other node it had its last event; zero if on none

	adopt bool // it was offered, without a client; from is not known then
}

// asked answers a node that wants to have a seat.
func (m *moves) asked(from string, n news) {
	pending := &m.namespace.server.recovery.pending
	if !pending.begin() {
		m.answer(from, &news{What: newsNo, Request: n.Request, Why: UnrecoveredUnreachable})
		return
	}
	go func() { // ends within takeTimeout, and is awaited by recovery.close
		defer pending.end()
		answer := m.grant(from, n)
		answer.Request = n.Request
		m.answer(from, answer)
	}()
}

// grant grants a seat to a node, or says why not.
func (m *moves) grant(to string, n news) *news {
	a := m.namespace.seatOf(n.PID)
	if a == nil {
		if coming := m.taking(n.PID); coming != nil {
			late := time.NewTimer(askTimeout / 2)
			defer late.Stop()
			select {
			case <-coming:
			case <-late.C:
			}
			a = m.namespace.seatOf(n.PID)
		}
	}
	if a == nil {
		if node := m.whereIs(n.PID); node != "" && node != to {
			return &news{What: newsMoved, Node: node}
		}
		return &news{What: newsNo, Why: UnrecoveredUnknown}
	}
	term, why := a.grant(to, n.Offset, time.Duration(n.Age)*time.Millisecond)
	if why != "" {
		return &news{What: newsNo, Why: why}
	}
	before := a.vacate(term)
	if before != nil { // whose handlers have the seat behind them when others, there, begin
		late := time.NewTimer(takeTimeout)
		defer late.Stop()
		select {
		case <-before.over:
		case <-late.C:
			return &news{What: newsNo, Why: UnrecoveredUnreachable}
		}
	}
	return &news{What: newsGive, Term: term}
}

// grant gives a node the best claim to a seat, for a while.
func (a *seat) grant(to, offset string, age time.Duration) (term uint64, why Unrecovered) {
	from, ok := a.resolve(offset)
	if !ok {
		return 0, UnrecoveredOffset
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.state == seatTaken && time.Since(a.taken) < age:
		return 0, UnrecoveredOvertaken // its client has come here since
	case a.state != seatTaken && a.state != seatParked:
		return 0, UnrecoveredUnknown
	}
	a.term++
	a.granted = &grant{node: to, term: a.term, until: time.Now().Add(leaseTime), from: from, after: a.elsewhere(offset)}
	return a.term, ""
}

// abort takes a grant back.
func (m *moves) abort(from string, n news) {
	a := m.namespace.seatOf(n.PID)
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if g := a.granted; g != nil && g.node == from && g.term == n.Term {
		a.granted = nil
	}
}

// commit gives up a seat for the node that it was granted to.
func (m *moves) commit(from string, n news) {
	a, why := m.namespace.seatOf(n.PID), UnrecoveredOvertaken
	if a != nil {
		why = a.give(from, n)
	}
	if why != "" {
		m.answer(from, &news{What: newsNo, Request: n.Request, Why: why})
	}
}

// maxData bounds what a socket's data may take on its way to another node.
const maxData = 64 << 10

// give hands over a seat, or says why not. Nothing is for it here that is not
// either in what it takes along or behind it on its way.
func (a *seat) give(to string, n news) (why Unrecovered) {
	data, err := a.encodeData()
	if err != nil {
		a.namespace.logger().Error("data of a socket that goes to another node", "socket", a.id, "error", err)
	}
	if len(data) > maxData {
		a.drop(LapseUnrecovered)
		return UnrecoveredTooMuch
	}
	a.namespace.log.Sequence(func() { _, why = a.giveUp(to, n, data) })
	switch why {
	case "":
		a.revoke()
		a.left()
	case UnrecoveredTrimmed, UnrecoveredTooMuch:
		a.drop(LapseUnrecovered)
	}
	return why
}

// giveUp is the part of give that nothing comes between. It returns what it said
// to the other node, and is called under the sequencer.
func (a *seat) giveUp(to string, n news, data json.RawMessage) (said *news, why Unrecovered) {
	m, r := a.namespace.moves, a.namespace.server.recovery
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.granted
	if g == nil || g.node != to || g.term != n.Term || time.Now().After(g.until) {
		return nil, UnrecoveredOvertaken
	} else if why := a.deniesTo(n.Term); why != "" {
		return nil, why
	}
	from := g.from
	if g.adopt {
		if from = a.unsure(n.room); from > a.sent && a.last > a.sent {
			return nil, UnrecoveredTooMuch
		}
	}
	x, err := a.export(from)
	if err != nil {
		return nil, missedWhy(err)
	}
	said = &news{What: newsCommitted, Request: n.Request, Adopt: g.adopt, Seat: &seatNews{
		PID: a.pid, Entry: a.entry, Whole: a.whole && from == a.start, Base: a.bases(from, g.after),
		Term: a.term, Away: milliseconds(r.parking.away(a)), Ack: a.namespace.ackID.Load(), Data: data,
	}, rest: x.Append(nil)}
	if err := m.tell(to, said); err != nil {
		a.namespace.logger().Debug("a seat stays, its node can't be told", "node", to, "error", err)
		return nil, UnrecoveredUnreachable
	}
	a.state, a.granted = seatMoved, nil
	r.parking.remove(a)
	m.placed(&whereabouts{SID: a.id, PID: a.pid, Term: a.term, node: to, given: true})
	a.namespace.mu.Lock()
	delete(a.namespace.seats, a.pid)
	a.namespace.mu.Unlock()
	a.namespace.log.Release(a.id)
	return said, ""
}

// export returns what a client who stands at from is to get. It is called under
// the sequencer and a.mu.
func (a *seat) export(from adapter.Position) (x *adapter.Transfer, err error) {
	n := a.namespace
	x, err = n.log.Export(a.id, a.behind(from), maxReplayed)
	if err != nil {
		return nil, err
	}
	if a.unseen() {
		x.Forget(n.log.Node())
	}
	x.Age = time.Since(a.born)
	size := 0
	for i := range x.Missed {
		size += len(x.Missed[i].Data)
	}
	if size > n.server.recovery.opts.MaxReplay {
		return nil, adapter.ErrTooMuch
	}
	return x, nil
}

// left is the end of a seat that has gone to another node.
func (a *seat) left() {
	n := a.namespace
	if n.server.closing.Load() {
		n.server.recovery.handover.moved.Add(1)
	}
	if f := n.hooks().Lapsed; f != nil {
		f(n.name, LapseMoved)
	}
	n.server.exit(n)
}

func missedWhy(err error) Unrecovered {
	if errors.Is(err, adapter.ErrTooMuch) {
		return UnrecoveredTooMuch
	}
	return UnrecoveredTrimmed
}

// encodeData returns the seat's data as it travels.
func (a *seat) encodeData() (json.RawMessage, error) {
	a.mu.Lock()
	data := a.data
	a.mu.Unlock()
	if data == nil {
		return nil, nil
	}
	return a.namespace.server.recovery.opts.encode(data)
}
