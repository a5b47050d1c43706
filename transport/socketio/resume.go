package socketio

import (
	"errors"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport/engineio"
)

// reasonFenced is what became of a connection whose client is back on another.
const reasonFenced = engineio.ReasonTransportClose

// claim returns the seat that a client wants to have back, where it stood, and
// the term of its claim, which overrides those before; or why it can't have it.
func (n *Namespace) claim(t ticket) (a *seat, from adapter.Position, term uint64, why Unrecovered) {
	if t.malformed {
		return nil, 0, 0, UnrecoveredMalformed
	}
	if a = n.seatOf(t.pid); a == nil {
		return nil, 0, 0, UnrecoveredUnknown
	}
	from, ok := a.resolve(t.offset)
	if !ok {
		return nil, 0, 0, UnrecoveredOffset
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state == seatGone || a.state == seatMoved {
		return nil, 0, 0, UnrecoveredUnknown
	}
	a.term++
	return a, from, a.term, ""
}

// seated returns the Socket of a client that asks to be let in: in the seat that
// its ticket is for, or in one of its own.
func (c *client) seated(n *Namespace, h *Handshake, t ticket) *Socket {
	if n.log == nil || c.v3 {
		return newSocket(c, n, h, nil)
	}
	if t.pid != "" || t.malformed {
		since := time.Now()
		a, from, term, why := n.claim(t)
		for a == nil && why == UnrecoveredUnknown && n.moves != nil && t.pid != "" {
			if why = n.moves.take(c.ctx, t, h.Address, since); why == "" {
				a, from, term, why = n.claim(t)
			}
			if time.Since(since) > takeTimeout {
				break
			}
		}
		if a != nil {
			return recoveredSocket(c, n, h, t, a, from, term)
		}
		// Its node may be dead, and it be at it for the second time at once.
		for try := 0; try < maxTries && (why == UnrecoveredUnknown || why == UnrecoveredUnreachable); try++ {
			s, again := c.inherit(n, h, t)
			if s != nil {
				return s
			} else if !again {
				break
			}
			if a, from, term, why = n.claim(t); a == nil && why == UnrecoveredUnknown {
				if why = n.moves.take(c.ctx, t, h.Address, time.Now()); why == "" {
					a, from, term, why = n.claim(t)
				}
			}
			if a != nil {
				return recoveredSocket(c, n, h, t, a, from, term)
			}
		}
		n.unrecovered(why)
	}
	return newSocket(c, n, h, newSeat(n, t.offset))
}

func recoveredSocket(c *client, n *Namespace, h *Handshake, t ticket, a *seat, from adapter.Position, term uint64) *Socket {
	s := newSocket(c, n, h, a)
	s.ticket, s.from, s.term, s.recovered = t, from, term, true
	return s
}

func (n *Namespace) unrecovered(why Unrecovered) {
	if f := n.hooks().NotRecovered; f != nil {
		f(n.name, why)
	}
}

// errClientGone says that there is nobody to take a seat.
var errClientGone = errors.New("socketio: client gone")

// errQueued says that the client has to take what is queued for it, of its other
// namespaces, before what it missed fits in behind.
var errQueued = errors.New("socketio: too much is queued")

// pause waits a moment, and reports false if the client has gone.
func (s *Socket) pause() bool {
	select {
	case <-time.After(10 * time.Millisecond):
		return true
	case <-s.ctx.Done():
		return false
	}
}

// unrecoverable is why a claim fails in the end.
type unrecoverable struct{ why Unrecovered }

func (u unrecoverable) Error() string { return "socketio: not recovered: " + string(u.why) }

// resume lets a recovered socket take its seat. It reports false if it could
// not, and another socket asks in its place, or the client has gone.
func (s *Socket) resume() bool {
	a, n := s.seat, s.namespace
	before := a.vacate(s.term)
	events, err := 0, errQueued
	for errors.Is(err, errQueued) {
		n.log.Sequence(func() { events, err = s.takeOver() })
		if errors.Is(err, errQueued) && !s.pause() {
			err = errClientGone
		}
	}
	switch failed, ok := errors.AsType[unrecoverable](err); {
	case ok:
		if failed.why == UnrecoveredTrimmed || failed.why == UnrecoveredTooMuch {
			a.drop(LapseUnrecovered)
		}
		n.unrecovered(failed.why)
		s.restart()
		return false
	case err != nil:
		return false
	}
	n.server.exit(n) // on behalf of the socket before, or of the seat
	if f := n.hooks().Recovered; f != nil {
		f(n.name, events)
	}
	if before != nil { // else it was of another node, which has seen to it
		<-before.over // its handlers have the seat behind them when ours begin
	}
	return true
}

// takeOver is the part of resume that nothing comes between. It is called under
// the sequencer.
func (s *Socket) takeOver() (events int, err error) {
	a, n := s.seat, s.namespace
	if why := a.denies(s); why != "" {
		return 0, unrecoverable{why}
	}
	missed, size, err := a.missed(s.from)
	if err != nil {
		return 0, err
	}
	session := s.client.session
	if queued := session.Buffered(); queued > 0 && queued+size > n.server.recovery.opts.MaxReplay {
		return 0, errQueued
	}
	for _, p := range missed {
		if p.Position() > a.sent { // else it was seen, and counted, when it was sent the first time
			s.observe(shared(p))
			n.count(n.hooks().Sent)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() != connecting {
		return 0, errClientGone
	}
	if why := a.take(s); why != "" {
		return 0, unrecoverable{why}
	}
	a.sent, a.owed = a.last, 0
	n.add(s)
	// The answer to CONNECT goes first. A client keeps what precedes it, and
	// would keep it over the next loss of its connection, too, but tell the
	// offset of before.
	err = session.Send(s.welcome().frames())
	for i := 0; i < len(missed) && err == nil; i++ {
		err = session.Send(shared(missed[i]).frames)
	}
	// Where that failed the connection has ended, of which we are about to hear.
	s.letIn()
	return len(missed), nil
}

// denies returns why s may not take the seat now, or "".
func (a *seat) denies(s *Socket) Unrecovered {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.deniesTo(s.term)
}

// deniesTo is denies for a claim. It is called under mu.
func (a *seat) deniesTo(term uint64) Unrecovered {
	switch {
	case a.term != term:
		return UnrecoveredOvertaken
	case a.state != seatParked: // given up, or elsewhere, since the claim
		return UnrecoveredUnknown
	}
	return ""
}

// take gives s the seat, or says why it may not have it.
func (a *seat) take(s *Socket) Unrecovered {
	a.mu.Lock()
	defer a.mu.Unlock()
	if why := a.deniesTo(s.term); why != "" {
		return why
	}
	a.state, a.taken = seatTaken, time.Now()
	a.amend(&will{Version: willVersion, Back: true})
	a.granted = nil
	a.current.Store(s)
	a.namespace.log.Return(a.id)
	a.namespace.server.recovery.parking.remove(a)
	return ""
}

// maxReplayed bounds the events that a client is sent when it is back.
const maxReplayed = 10_000

// missed returns what a client who stood at from has missed, and its size. It is
// called under the sequencer.
func (a *seat) missed(from adapter.Position) (missed []*adapter.Packet, size int, err error) {
	if from = a.behind(from); from >= a.last {
		return nil, 0, nil
	}
	missed, err = a.namespace.log.Missed(a.id, from, maxReplayed)
	if errors.Is(err, adapter.ErrTooMuch) {
		return nil, 0, unrecoverable{UnrecoveredTooMuch}
	} else if err != nil {
		return nil, 0, unrecoverable{UnrecoveredTrimmed}
	}
	for _, p := range missed {
		size += shared(p).size()
	}
	if size > a.namespace.server.recovery.opts.MaxReplay {
		return nil, 0, unrecoverable{UnrecoveredTooMuch}
	}
	return missed, size, nil
}

// restart puts a socket of a seat of its own in the place of s, which could not
// be recovered: to its client it is as if it had asked for that.
func (s *Socket) restart() {
	c, n := s.client, s.namespace
	fresh := newSocket(c, n, s.handshake, newSeat(n, s.ticket.offset))
	fresh.order = s.order
	c.mu.Lock()
	ok := !c.closed && c.sockets.in(n.name) == s
	if ok {
		c.sockets.put(fresh)
		n.server.stay(n)
	}
	c.mu.Unlock()
	s.end(ReasonServer)
	if ok {
		fresh.inbox.push(&n.server.crew, true, fresh.start)
	}
}

// park ends the socket, as end does, and keeps its seat.
func (s *Socket) park(reason Reason) { s.finish(reason, true) }

// Recovered reports whether the client was back so soon that this is its
// socket of before, with the same ID, rooms and data, and it gets what it
// missed. OnDisconnect's functions were called when it was lost, and returned
// before OnConnect's are.
func (s *Socket) Recovered() bool { return s.recovered }

// RecoveryStats tell what Recovery takes on this node at present.
type RecoveryStats struct {
	Parked int // sockets kept for clients to come back
	Bytes  int // about how much memory the events take that are kept
}

// RecoveryStats returns what Recovery takes; nothing if it is not enabled.
func (s *Server) RecoveryStats() RecoveryStats {
	if s.recovery == nil {
		return RecoveryStats{}
	}
	return RecoveryStats{Parked: s.recovery.parking.len(), Bytes: s.recovery.journal.Bytes()}
}
