package engineio

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/carillonhq/carillon/transport/websocket"
)

// How a WebSocket becomes the candidate of a session of another node.

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
	e.uncounted = !p.srv.count()
	known := p.keep(e)
	conn.Start(e)
	if e.uncounted || !known {
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
