package socketio

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/carillonhq/carillon/adapter"
)

// When a node stops, others adopt the seats whose clients are not back yet. It
// offers each to the node that it falls to; if that has room, the seat goes as one
// that is asked for does (see moves), and is that node's when it has said so. If
// it dies first, or would not have the seat after all, the seat is here again,
// and the next node is asked.
const (
	// adoptWorkers is how many seats are on offer at a time.
	adoptWorkers = 32

	// adoptBytes bounds what is under way, and not confirmed yet.
	adoptBytes = 16 << 20

	// unsureTotal is how much the seats may take along together of what their
	// clients have probably had.
	unsureTotal = 64 << 20
	unsureMost  = 1 << 20 // of one seat,
	unsureLeast = 16 << 10

	adoptRetry = 20 * time.Millisecond

	// offerTimeout is how long a node may take to answer: one that knows nothing of
	// offers does not, and is offered nothing more in that namespace.
	offerTimeout = 5 * time.Second

	// adoptSilence is for how long another node may neither confirm that it has a
	// seat nor be known to be dead.
	adoptSilence = 10 * time.Second
)

// handover is what became of the seats of a node that stops.
type handover struct {
	moved   atomic.Int64 // their clients were on other nodes in time
	adopted atomic.Int64
	lost    atomic.Int64
}

// heirs reports whether there are nodes that would adopt seats.
func (s *Server) heirs() bool {
	return s.recovery != nil && slices.ContainsFunc(s.Namespaces(), func(n *Namespace) bool {
		return n.moves != nil && len(n.moves.peers.Heirs("")) > 0
	})
}

// handOver has other nodes adopt all seats that are parked, and returns when they
// have, or nobody is left who would, or ctx is done: what it leaves is lost.
func (s *Server) handOver(ctx context.Context) {
	if !s.heirs() {
		return
	}
	r := s.recovery
	all := r.parking.all()
	if len(all) == 0 {
		return
	}
	h := &handing{
		room:   min(unsureMost, max(unsureLeast, unsureTotal/len(all))),
		flight: semaphore.NewWeighted(adoptBytes),
		deaf:   make(map[string]bool),
	}
	seats := make(chan *seat)
	var wg sync.WaitGroup
	for range min(adoptWorkers, len(all)) {
		wg.Go(func() { // ends with seats
			for a := range seats {
				h.place(ctx, a)
			}
		})
	}
	for _, a := range all {
		if ctx.Err() != nil {
			break
		}
		seats <- a
	}
	close(seats)
	wg.Wait()
}

// tellHandover logs, once, what became of the seats.
func (s *Server) tellHandover() {
	if s.recovery == nil {
		return
	}
	h := &s.recovery.handover
	moved, adopted, lost := h.moved.Swap(0), h.adopted.Swap(0), h.lost.Swap(0)
	log := s.logger.Info
	switch {
	case moved+adopted+lost == 0:
		return
	case lost > 0 && s.handing.Load():
		log = s.logger.Warn
	}
	log("sockets handed over to other nodes", "moved", moved, "adopted", adopted, "lost", lost)
}

// handing is one handOver.
type handing struct {
	room   int // see unsureTotal
	flight *semaphore.Weighted

	mu   sync.Mutex      // guards deaf
	deaf map[string]bool // nodes, with a namespace, that did not answer
}

// place has another node adopt a seat, if one will.
func (h *handing) place(ctx context.Context, a *seat) {
	m := a.namespace.moves
	if m == nil {
		return
	}
	for {
		done, mine := m.begin(a.pid)
		if mine {
			break
		}
		select { // it is on its way here, or a client is at it
		case <-done:
		case <-ctx.Done():
			return
		}
	}
	defer m.end(a.pid)
	if s := a.current.Load(); s != nil { // whose handlers have the seat behind them when others, there, begin
		late := time.NewTimer(takeTimeout)
		defer late.Stop()
		select {
		case <-s.over:
		case <-late.C:
			return
		case <-ctx.Done():
			return
		}
	}
	refused := make(map[string]bool)
	for began := time.Now(); ctx.Err() == nil; {
		if a = m.namespace.seatOf(a.pid); a == nil || !a.is(seatParked) {
			return
		}
		nodes := slices.DeleteFunc(m.peers.Heirs(a.pid), func(node string) bool { return refused[node] || h.isDeaf(m, node) })
		if len(nodes) == 0 {
			return
		}
		switch h.offer(ctx, a, nodes[0], began) {
		case offerOver:
			return
		case offerAgain:
			select {
			case <-time.After(adoptRetry):
			case <-ctx.Done():
			}
		case offerRefused:
			refused[nodes[0]] = true
		}
	}
}

type offerEnd int

const (
	offerOver    offerEnd = iota // the seat is elsewhere, or gone
	offerAgain                   // somebody else is at it, or the bus is full
	offerRefused                 // the node does not take it
)

// offer has one node adopt a seat, if it will.
func (h *handing) offer(ctx context.Context, a *seat, to string, began time.Time) offerEnd {
	n, m := a.namespace, a.namespace.moves
	term, ok := a.offer(to, time.Since(began))
	if !ok {
		return offerAgain
	}
	ask := m
	if root := n.server.Of("/").moves; root != nil { // which is open on all nodes, and can open others
		ask = root
	}
	r, ok := ask.askFor(ctx, to, &news{What: newsOffer, Namespace: n.name, PID: a.pid, Term: term}, offerTimeout)
	if !ok {
		h.deafen(m, to)
	}
	if !ok || r.What != newsAccept {
		return offerRefused
	}
	size := a.unsureSize(h.room)
	if h.flight.Acquire(ctx, size) != nil {
		return offerOver
	}
	defer h.flight.Release(size)
	data, err := a.encodeData()
	if err != nil {
		n.logger().Error("data of a socket that goes to another node", "socket", a.id, "error", err)
	}
	if len(data) > maxData {
		return n.giveIn(a)
	}
	give := news{Term: term, room: h.room}
	answer := m.expect(&give)
	defer m.forget(give.Request)
	m.adopting(a.pid, to)
	defer m.adopting(a.pid, "")
	var said *news
	why := Unrecovered("")
	n.log.Sequence(func() { said, why = a.giveUp(to, give, data) })
	switch why {
	case "":
	case UnrecoveredTrimmed, UnrecoveredTooMuch:
		return n.giveIn(a)
	default:
		return offerAgain
	}
	a.revoke()
	defer n.server.exit(n)
	if m.confirmed(ctx, to, answer) {
		n.server.recovery.handover.adopted.Add(1)
		n.lapsed(LapseAdopted)
		return offerOver
	}
	if ctx.Err() == nil && m.takeBack(said) {
		return offerRefused
	}
	// There is no time left to know, or it can't be here any more.
	n.server.recovery.handover.lost.Add(1)
	n.lapsed(LapseLost)
	return offerOver
}

// giveIn gives up a seat that cannot be taken along.
func (n *Namespace) giveIn(a *seat) offerEnd {
	if a.drop(LapseUnrecovered) {
		n.server.recovery.handover.lost.Add(1)
	}
	return offerOver
}

func (n *Namespace) lapsed(why Lapse) {
	if f := n.hooks().Lapsed; f != nil {
		f(n.name, why)
	}
}

func (h *handing) isDeaf(m *moves, node string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.deaf[node+m.namespace.name]
}

func (h *handing) deafen(m *moves, node string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaf[node+m.namespace.name] = true
}

// offer grants the seat to a node, unless a client is about to have it, which is
// waited for since some time.
func (a *seat) offer(to string, waited time.Duration) (term uint64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.granted
	if a.state != seatParked || g != nil && !g.adopt && time.Now().Before(g.until) && waited < askTimeout {
		return 0, false
	}
	a.term++
	a.granted = &grant{node: to, term: a.term, until: time.Now().Add(offerTimeout + leaseTime), adopt: true}
	return a.term, true
}

// reach is how far back a client may stand that has gone: behind all that was
// sent to it before it was last heard, for sure.
func (a *seat) reach(room int) adapter.Reach {
	r := a.namespace.server.recovery
	since := time.Now().Add(-r.parking.away(a) - r.silence)
	return adapter.Reach{Since: since, Packets: maxReplayed, Bytes: room}
}

// unsure returns where a client of whom nothing is known stands at the earliest,
// or as far back as there is room to say; more, if it has surely missed more, but
// not more than it can be sent. It is called under the sequencer.
func (a *seat) unsure(room int) adapter.Position {
	log := a.namespace.log
	from, _ := log.Tail(a.id, a.start, a.reach(room))
	if from > a.sent {
		from, _ = log.Tail(a.id, a.sent, a.reach(math.MaxInt)) // export looks whether it is too much
	}
	if from > a.last { // since when nothing was for it
		from = max(a.last, a.start)
	}
	return from
}

// unsureSize is about how much will be under way.
func (a *seat) unsureSize(room int) int64 {
	_, size := a.namespace.log.Tail(a.id, a.start, a.reach(room))
	return int64(min(adoptBytes, size+1))
}

// An adoption is of a seat that was given to a node, which has not confirmed it.
type adoption struct {
	node string
	told bool // all nodes that it has it
}

// adopting notes that a seat goes to a node, or, if that is "", that it is known
// what has become of it.
func (m *moves) adopting(pid, node string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if node == "" {
		delete(m.adopts, pid)
	} else {
		m.adopts[pid] = &adoption{node: node}
	}
}

// announced notes that a node has told all that it has a seat, so that others may
// have sent it what we can't know of.
func (m *moves) announced(w *whereabouts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o := m.adopts[w.PID]; o != nil && o.node == w.node {
		o.told = true
	}
}

func (m *moves) wasAnnounced(pid string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.adopts[pid]
	return o != nil && o.told
}

// confirmed waits until a node says that it has a seat; false if it says that it
// does not, or dies.
func (m *moves) confirmed(ctx context.Context, node string, answer chan reply) bool {
	look := time.NewTicker(adoptRetry)
	defer look.Stop()
	late := time.NewTimer(adoptSilence)
	defer late.Stop()
	for {
		select {
		case r := <-answer:
			return r.Why == ""
		case <-look.C:
			if !m.peers.IsUp(node) {
				select {
				case r := <-answer:
					return r.Why == ""
				default:
					return false
				}
			}
		case <-late.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// takeBack takes in again what was said to another node, in a later term.
func (m *moves) takeBack(said *news) bool {
	x, _, err := adapter.DecodeTransfer(said.rest)
	if err != nil {
		return false
	}
	s := *said.Seat
	s.Term++
	if m.namespace.admitSeat(&s, x, true, nil) == "" {
		return true
	}
	m.lost(&seat{id: x.ID, pid: s.PID, term: s.Term})
	return false
}

// unseen reports whether no client can know where anything stands here since the
// seat has come back: it was here before, and what was for it stood elsewhere then.
func (a *seat) unseen() bool { return a.back && a.current.Load() == nil }
