package socketio

import (
	"context"
	"strings"
	"time"

	"github.com/carillonhq/carillon/adapter"
)

const (
	takeTimeout = 2 * time.Second        // of all there is to a seat's coming here
	askTimeout  = time.Second            // of one answer
	whoTimeout  = 300 * time.Millisecond // of one that most nodes don't give
	maxTries    = 4                      // nodes that are asked for a seat, one after the other
)

// take has the seat of a ticket come here from the node that has it: parked, for
// whoever claims it next. It returns an empty Unrecovered if it has come. since
// is when the client asked for it, which ctx ends with.
func (m *moves) take(ctx context.Context, t ticket, address string, since time.Time) Unrecovered {
	ctx, cancel := context.WithTimeout(ctx, takeTimeout)
	defer cancel()
	for {
		done, mine := m.begin(t.pid)
		if mine {
			why := m.seek(ctx, t, address, since)
			m.end(t.pid)
			return why
		}
		select { // another client is at it
		case <-done:
			if m.namespace.seatOf(t.pid) != nil {
				return ""
			}
		case <-ctx.Done():
			return UnrecoveredUnreachable
		}
	}
}

// begin reports whether nobody takes a seat yet; else done is closed when that
// has ended.
func (m *moves) begin(pid string) (done chan struct{}, mine bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if done := m.takes[pid]; done != nil {
		return done, false
	}
	done = make(chan struct{})
	m.takes[pid] = done
	return done, true
}

func (m *moves) end(pid string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.takes[pid])
	delete(m.takes, pid)
}

// taking returns nil, or what is closed when a seat that is on its way is here.
func (m *moves) taking(pid string) chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.takes[pid]
}

// seek asks one node after the other.
func (m *moves) seek(ctx context.Context, t ticket, address string, since time.Time) Unrecovered {
	misses := &m.namespace.server.recovery.misses
	node := m.lookup(t.pid)
	searched := false
	for try := 0; try < maxTries && ctx.Err() == nil; try++ {
		if m.namespace.seatOf(t.pid) != nil {
			return "" // it has come of an earlier attempt, whose answer was late
		}
		if !m.peers.IsUp(node) {
			if searched || !misses.searches.take() {
				break
			}
			searched = true
			if node = m.search(ctx, t.pid); node == "" {
				break
			}
		}
		r, ok := m.ask(ctx, node, &news{What: newsTake, PID: t.pid, Offset: t.offset, Age: milliseconds(time.Since(since))})
		switch {
		case !ok && ctx.Err() == nil && !m.peers.IsUp(node): // it has just left, maybe behind others' word of where the seat is
			node = m.lookup(t.pid)
			continue
		case !ok:
			return UnrecoveredUnreachable
		case r.What == newsMoved:
			node = r.Node
			continue
		case r.What == newsNo && r.Why == UnrecoveredUnknown:
			if !misses.take(address) {
				return UnrecoveredUnknown
			}
			node = "" // which is not up
			continue
		case r.What == newsNo:
			return r.Why
		case r.What != newsGive:
			return UnrecoveredUnknown
		}
		if ctx.Err() != nil { // nobody is there any more
			m.answer(node, &news{What: newsAbort, PID: t.pid, Term: r.Term})
			return UnrecoveredUnreachable
		}
		r, ok = m.ask(context.WithoutCancel(ctx), node, &news{What: newsCommit, PID: t.pid, Term: r.Term})
		switch {
		case !ok:
			return UnrecoveredUnreachable // if it comes all the same, it is kept for the next time
		case r.What == newsCommitted && r.Why == "":
			return ""
		case r.Why == UnrecoveredOvertaken: // another attempt has been faster, maybe at another node
			node = m.lookup(t.pid)
		default:
			return r.Why
		}
	}
	return UnrecoveredUnknown
}

// lookup returns the node that should have a seat: where it was last known to
// be, or where it was made, which begins its pid.
func (m *moves) lookup(pid string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.byPID[pid]; w != nil {
		return w.node
	}
	node, _, _ := strings.Cut(pid, "~")
	return node
}

// ask sends a request, and returns the answer unless it is missing.
func (m *moves) ask(ctx context.Context, node string, n *news) (reply, bool) {
	return m.askFor(ctx, node, n, askTimeout)
}

func (m *moves) askFor(ctx context.Context, node string, n *news, patience time.Duration) (reply, bool) {
	answer := m.expect(n)
	defer m.forget(n.Request)
	if m.tell(node, n) != nil {
		return reply{}, false
	}
	return await(ctx, answer, patience)
}

// search asks all nodes which of them has a seat, and returns "" if none says so.
func (m *moves) search(ctx context.Context, pid string) (node string) {
	n := &news{What: newsWho, PID: pid}
	answer := m.expect(n)
	defer m.forget(n.Request)
	m.tellAll(n)
	r, _ := await(ctx, answer, whoTimeout)
	return r.from
}

func await(ctx context.Context, answer chan reply, patience time.Duration) (reply, bool) {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case r := <-answer:
		return r, true
	case <-late.C:
	case <-ctx.Done():
	}
	return reply{}, false
}

// expect gives n a number, and returns where its answer comes.
func (m *moves) expect(n *news) chan reply {
	answer := make(chan reply, 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	n.Request = m.last
	m.replies[n.Request] = answer
	return answer
}

func (m *moves) forget(request uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.replies, request)
}

// reply hands an answer to whoever waits for it.
func (m *moves) reply(from string, n news) {
	m.mu.Lock()
	answer := m.replies[n.Request]
	delete(m.replies, n.Request)
	m.mu.Unlock()
	if answer != nil {
		answer <- reply{from, n} // has room for it
	}
}

// arrive takes in a seat that another node has given up, whether anybody waits
// for it still or not: it is nowhere else. It is called in order with what that
// node says next, which is for the seat, too.
func (m *moves) arrive(from string, n news) {
	why := Unrecovered("")
	if x, _, err := adapter.DecodeTransfer(n.rest); err != nil || n.Seat == nil || x.ID == "" {
		m.namespace.logger().Warn("malformed seat dropped", "from", from, "error", err)
		why = UnrecoveredUnknown
	} else if n.Adopt {
		m.adopted(from, n, x)
		return
	} else {
		why = m.namespace.admitSeat(n.Seat, x, false, nil)
	}
	m.reply(from, news{What: newsCommitted, Request: n.Request, Why: why})
}

// admitSeat makes a seat that has come from another node one of this node, which
// is parked. One that is back, because nobody took it, is given up if something
// for it may have gone elsewhere meanwhile. Unless nil, sure is called when the
// seat is here, before all nodes are told so.
func (n *Namespace) admitSeat(s *seatNews, x *adapter.Transfer, back bool, sure func()) (why Unrecovered) {
	data, err := n.server.recovery.opts.decode(s.Data)
	if err != nil {
		n.logger().Error("data of a socket that comes from another node", "socket", x.ID, "error", err)
	}
	a := &seat{namespace: n, id: x.ID, pid: s.PID, entry: s.Entry, base: s.Base, whole: s.Whole, data: data, term: s.Term, back: back}
	a.born = time.Now().Add(-x.Age)
	a.moved, a.ahead = true, x.Heard.Text()
	n.raiseAckID(s.Ack)
	why = n.install(a, time.Duration(s.Away)*time.Millisecond, sure, func() (adapter.Import, error) { return n.log.Import(a, x) })
	if why == UnrecoveredTrimmed && !back { // it is nowhere now
		n.moves.lost(a)
	}
	return why
}

// install makes a seat, whose client went a while ago, one of this node, which is
// parked. take, called under the sequencer, has the log know its socket. Unless
// nil, sure is called then.
func (n *Namespace) install(a *seat, away time.Duration, sure func(), take func() (adapter.Import, error)) (why Unrecovered) {
	var in adapter.Import
	var crowded *seat
	used := false
	n.log.Sequence(func() {
		if n.seatOf(a.pid) != nil || n.moves.outlived(a.id, a.term) {
			why = UnrecoveredOvertaken
			return
		}
		n.server.stay(n)
		var err error
		if in, err = take(); err != nil {
			why = UnrecoveredTrimmed
			return
		}
		a.start, a.came = in.Start, time.Now()
		a.last, a.sent = n.log.Head(), in.Start
		if a.last > a.sent {
			a.owed = a.sent + 1
		}
		n.mu.Lock()
		n.seats[a.pid] = a
		n.mu.Unlock()
		a.mu.Lock()
		a.state = seatParked
		crowded = n.server.recovery.parking.add(a, away)
		a.mu.Unlock()
		if sure != nil {
			sure()
		}
		told := n.moves.wasAnnounced(a.pid)
		used = n.moves.here(a) || told
		a.bequeath(n.adapter.Rooms(a.id), true)
	})
	switch {
	case why == UnrecoveredTrimmed:
		n.server.exit(n)
		return why
	case why != "":
		return why
	}
	if !a.back {
		n.count(n.hooks().Parked)
	}
	switch {
	case a.back && used:
		a.quit()
		return UnrecoveredTrimmed
	case in.Disconnect:
		a.drop(LapseDisconnected)
		return UnrecoveredUnknown
	case crowded != nil:
		crowded.drop(crowded.crowded(a))
	}
	return ""
}

// crowded is why a seat goes when another is kept: itself if it is too late for
// any.
func (a *seat) crowded(kept *seat) Lapse {
	if a == kept {
		return LapseShutdown
	}
	return LapseCrowded
}

// raiseAckID sees to it that no client is asked for two acknowledgements by one
// number, though by two nodes.
func (n *Namespace) raiseAckID(least uint64) {
	for {
		id := n.ackID.Load()
		if id >= least || least > maxAckID || n.ackID.CompareAndSwap(id, least) {
			return
		}
	}
}

// maxAckID is the largest number that JavaScript counts to, with room above.
const maxAckID = 1<<53 - 1<<40
