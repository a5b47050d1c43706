package engineio

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/websocket"
)

// WebSockets here of sessions of other nodes. The edge answers the probe itself.
// When the client completes the upgrade, the WebSocket becomes a transport of
// the session's node, a pipe, and the edge passes frames on and knows nothing
// more of them.

// lostJitter spreads the clients of a node that went down.
const lostJitter = time.Second

// creditTime is how often an edge looks whether a client that is behind has
// taken what it was sent.
const creditTime = 10 * time.Millisecond

// An edgeKey names a WebSocket: the node of its session, and the number that
// that gave it.
type edgeKey struct {
	owner string
	pipe  uint64
}

// An edge is a WebSocket of a session of another node, as the Receiver of its
// Conn.
type edge struct {
	p         *peering
	key       edgeKey
	conn      *websocket.Conn
	release   func()        // what Options.Admit returned; called at the end
	uncounted bool          // Server.wg does not count it
	answer    chan []byte   // has room for one: the session that moves here, or nil for a pipe
	done      chan struct{} // closed with over
	ending    chan struct{} // closed with asked
	wake      chan struct{} // a token: window has grown

	// Of the Conn's goroutine.
	state edgeState
	next  *link // of edgeMoved

	mu       sync.Mutex // guards the fields below; then peering.mu may be taken
	over     bool       // nothing is passed on any more
	asked    bool       // the owner wants the end
	told     bool       // the owner knows of the end, or is lost
	window   int        // bytes that the client may send
	received uint64     // bytes for the client
	credited uint64     // of those, what the owner knows to have been taken
	checking bool       // check is set
	check    alarm
	leaving  alarm // ends it when its owner is lost
}

type edgeState int

const (
	edgeProbing edgeState = iota
	edgePiped
	edgeMoved // the session is this node's now
	edgeDown  // a candidate that was turned down
)

// upgrade answers a WebSocket request that names a session of another node.
func (p *peering) upgrade(w http.ResponseWriter, r *http.Request, node, id string, query url.Values) {
	release, err := p.srv.admit(r)
	if err != nil {
		p.upgradeFailed("refused")
		p.srv.refuse(w, r, forbid(err))
		return
	}
	q := p.request(node, false)
	a, err := p.ask(r.Context(), q, appendText(peerMessage(kindUpgrade, q.number, uint64(version(query))), id), postTime)
	p.forget(q)
	if err != nil || a.kind != kindOffer {
		release()
		if err != nil {
			p.late(q)
			p.upgradeFailed(causeOf(err))
			a.refusal = unknownSession
		} else {
			p.upgradeFailed("refused")
		}
		if a.refusal.context == nil {
			a.refusal = a.refusal.with("sid", id)
		}
		p.srv.refuse(w, r, a.refusal)
		return
	}
	key := edgeKey{node, a.pipe}
	conn, err := p.srv.websocket.Accept(w, r)
	if err != nil {
		release()
		p.withdraw(key)
		p.upgradeFailed("refused")
		p.end(key, endCut)
		if _, ours := errors.AsType[*websocket.HandshakeError](err); ours {
			p.srv.refuse(w, r, badRequest.because("TRANSPORT_HANDSHAKE_ERROR", "error", err))
		}
		return
	}
	if a.pipe == 0 { // as a Session does with a candidate that it has no use for
		release()
		conn.Start(stray{})
		conn.Close()
		return
	}
	conn.Speak(dialect(query))
	e := &edge{
		p: p, key: key, conn: conn, release: release, window: pipeWindow,
		answer: make(chan []byte, 1), done: make(chan struct{}), ending: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	e.check = alarm{wg: &p.wg, f: e.checked}
	e.leaving = alarm{wg: &p.wg, f: e.leave}
	counted := p.srv.count()
	known := counted && p.keep(e)
	if !counted {
		e.uncounted = true
	}
	conn.Start(e)
	if !known {
		conn.GoAway()
	}
}

// late turns down an offer that came when nobody waited for it any more.
func (p *peering) late(q *request) {
	select {
	case a := <-q.answer:
		if key := (edgeKey{q.node, a.pipe}); a.kind == kindOffer && a.pipe != 0 {
			p.withdraw(key)
			p.end(key, endCut)
		}
	default:
	}
}

// keep makes an edge known. It reports false if it is too late: its owner is
// lost, or has turned the candidate down already.
func (p *peering) keep(e *edge) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	dropped, offered := p.offers[e.key]
	delete(p.offers, e.key)
	p.edges[e.key] = e
	return offered && !dropped
}

// withdraw undoes an offer that nothing came of.
func (p *peering) withdraw(key edgeKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.offers, key)
}

func (p *peering) forgetEdge(e *edge) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.edges[e.key] == e {
		delete(p.edges, e.key)
	}
}

func (p *peering) edge(key edgeKey) *edge {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.edges[key]
}

func (p *peering) upgradeFailed(why string) {
	if f := p.srv.opts.Hooks.UpgradeFailed; f != nil {
		f(why)
	}
}

// Frame implements transport.Receiver.
func (e *edge) Frame(binary bool, data []byte) error {
	switch e.state {
	case edgeProbing:
		return e.probe(binary, data)
	case edgePiped:
		return e.pass(binary, data)
	case edgeMoved:
		return e.next.Frame(binary, data)
	}
	return nil
}

// probe handles what a candidate says, as Session.probe does.
func (e *edge) probe(binary bool, data []byte) error {
	switch {
	case !binary && string(data) == "2probe":
		_ = e.conn.Send(probed) // fails only by the end of the candidate
		e.say(peerMessage(kindProbed, e.key.pipe))
		return nil
	case !binary && len(data) > 0 && data[0] == '5':
		e.say(peerMessage(kindUpgraded, e.key.pipe))
		return e.complete()
	}
	e.state = edgeDown
	e.tell(endPacket)
	e.conn.Close()
	return nil
}

// complete waits for what the owner makes of the upgrade. Meanwhile the Conn
// reads nothing.
func (e *edge) complete() error {
	timer := time.NewTimer(postTime)
	defer timer.Stop()
	select {
	case state := <-e.answer:
		return e.answered(state)
	case <-e.ending:
	case <-e.done:
	case <-timer.C:
		e.state = edgeDown
		return fmt.Errorf("complete the upgrade: %w", errSilent)
	}
	e.state = edgeDown
	select {
	case state := <-e.answer: // it came before the end
		return e.answered(state)
	default:
		return nil
	}
}

// answered follows what the owner makes of the upgrade.
func (e *edge) answered(state []byte) error {
	if state != nil {
		return e.arrive(state)
	}
	e.state = edgePiped
	if f := e.p.srv.opts.Hooks.Piped; f != nil {
		f()
	}
	return nil
}

// become makes the Conn the transport of a session of this node.
func (e *edge) become(l *link) {
	e.state, e.next = edgeMoved, l
	e.stop()
	e.p.forgetEdge(e)
	if !e.uncounted {
		e.p.srv.wg.Done() // the session is counted
	}
}

// pass sends a frame of the client to the owner, when there is room for it.
func (e *edge) pass(binary bool, data []byte) error {
	for {
		e.mu.Lock()
		over, room := e.over, e.window > 0
		if room {
			e.window -= frameCost(len(data))
		}
		e.mu.Unlock()
		if over {
			return nil
		}
		if room {
			break
		}
		select {
		case <-e.wake:
		case <-e.done:
		}
	}
	m := append(peerMessage(kindIn, e.key.pipe), frameFlags(binary))
	if err := e.p.link.Send(e.key.owner, appendText(m, data)); err != nil {
		return fmt.Errorf("%w: %w", errPipe, err)
	}
	return nil
}

// Closed implements transport.Receiver.
func (e *edge) Closed(err error) {
	if e.next != nil {
		e.next.Closed(err)
		return
	}
	e.stop()
	cause := pipeCause(err)
	e.mu.Lock()
	if cause == endNone && !e.asked {
		cause = endCut // it is this node that goes
	}
	e.mu.Unlock()
	e.tell(cause)
	e.p.forgetEdge(e)
	e.release()
	if !e.uncounted {
		e.p.srv.wg.Done()
	}
}

// move has the client go elsewhere, as this node is about to leave.
func (e *edge) move() { e.conn.GoAway() }

// stop has nothing passed on any more.
func (e *edge) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over {
		e.over = true
		close(e.done)
	}
	e.check.stop()
	e.leaving.stop()
}

// tell says to the owner that the WebSocket has ended, or will, unless it knows.
func (e *edge) tell(cause uint64) {
	e.mu.Lock()
	told := e.told
	e.told = true
	e.mu.Unlock()
	if !told {
		e.p.end(e.key, cause)
	}
}

func (e *edge) say(m []byte) {
	_ = e.p.link.Send(e.key.owner, m) // else the owner is lost, or will be
}

func (p *peering) end(key edgeKey, cause uint64) {
	_ = p.link.Send(key.owner, peerMessage(kindEnd, key.pipe, cause)) // else the owner has lost us
}

// out sends frames of the owner to the client.
func (e *edge) out(f *transport.Frames) {
	if e.conn.Send(f) != nil {
		return // it has ended, and says so
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.received += uint64(len(f.WebSocket()))
	e.settle()
}

// settle tells the owner what the client has taken, a quarter of the window or
// more at a time. It needs mu.
func (e *edge) settle() {
	if e.over || e.received-e.credited < pipeWindow/4 {
		return
	}
	taken := e.received - min(uint64(e.conn.Buffered()), e.received)
	if taken > e.credited && taken-e.credited >= pipeWindow/4 {
		e.say(peerMessage(kindCredit, e.key.pipe, taken-e.credited))
		e.credited = taken
	}
	if !e.checking && e.received-e.credited >= pipeWindow/4 {
		e.checking = true
		e.check.set(creditTime)
	}
}

// checked looks again.
func (e *edge) checked() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.checking = false
	e.settle()
}

// credit follows that the owner has taken n bytes of the client.
func (e *edge) credit(n uint64) {
	e.mu.Lock()
	e.window += int(min(n, pipeWindow<<10))
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// ended does what the owner wants.
func (e *edge) ended(how uint64) {
	e.mu.Lock()
	if !e.asked {
		e.asked = true
		close(e.ending)
	}
	if how == endAbort {
		e.told = true // it has forgotten the pipe
	}
	e.mu.Unlock()
	switch how {
	case endClose:
		e.conn.Close()
	case endAway:
		e.conn.GoAway()
	default:
		e.abort()
	}
}

// abort ends it at once.
func (e *edge) abort() {
	e.stop() // whatever waits for the owner waits no more
	e.conn.Abort()
}

// lost has the client go elsewhere, as its owner is lost.
func (e *edge) lost() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return
	}
	e.over = true
	close(e.done)
	e.check.stop()
	e.leaving.set(rand.N(lostJitter))
}

func (e *edge) leave() { e.conn.GoAway() }
