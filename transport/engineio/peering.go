package engineio

import (
	"context"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
)

// A peering is what a Server has under way with those of other nodes: as the
// edge, which gets requests for their sessions, and as the owner of sessions
// whose requests they get.
type peering struct {
	srv  *Server
	link Peers
	self string
	stop func()

	wg sync.WaitGroup // what go_ has started, and armed alarms

	mu       sync.Mutex // guards the fields below; the innermost lock
	closed   bool
	leaving  bool                // polls are not to wait for long
	last     uint64              // request or pipe that was numbered
	requests map[uint64]*request // as the edge
	polls    map[pollKey]*poll   // as the owner: GETs that wait
	offers   map[edgeKey]bool    // as the edge: those of owners for which there is no edge yet; true if taken back
	edges    map[edgeKey]*edge   // as the edge: WebSockets
	pipes    map[uint64]*pipe    // as the owner: WebSockets
	boxes    map[string]*outbox  // as the owner: what is to be said about pipes
}

func newPeering(srv *Server, link Peers) *peering {
	p := &peering{
		srv:      srv,
		link:     link,
		self:     link.Self(),
		requests: make(map[uint64]*request),
		polls:    make(map[pollKey]*poll),
		offers:   make(map[edgeKey]bool),
		edges:    make(map[edgeKey]*edge),
		pipes:    make(map[uint64]*pipe),
		boxes:    make(map[string]*outbox),
	}
	p.stop = link.Listen(PeerHandler{Message: p.receive, Lost: p.lost})
	return p
}

// close gives up all that is under way, and returns when nothing runs any more.
// The sessions have ended before.
func (p *peering) close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	var polls []*poll
	for _, o := range p.polls {
		polls = append(polls, o)
	}
	var requests []*request
	for _, r := range p.requests {
		requests = append(requests, r)
	}
	p.mu.Unlock()
	if first {
		p.stop()
	}
	for _, o := range polls {
		o.cancel()
	}
	for _, r := range requests {
		r.settle(peerAnswer{kind: kindRefuse, refusal: unknownSession})
	}
	p.wg.Wait()
}

// run calls f on a goroutine that close waits for, unless it is too late. A
// panic, which only an application's code can raise, ends with it.
func (p *peering) run(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.wg.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				p.panicked(v)
			}
		}()
		f()
	})
	return true
}

func (p *peering) panicked(v any) {
	p.srv.log.Error("receiver panicked", "panic", v, "stack", string(debug.Stack()))
}

// abort ends all WebSockets here of other nodes' sessions.
func (p *peering) abort() {
	if p == nil {
		return
	}
	for _, e := range p.allEdges() {
		e.abort()
	}
}

func (p *peering) allEdges() []*edge {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.edges))
}

// owner returns the node that holds a session, if that is another one that can
// be reached.
func (p *peering) owner(id string) (node string, ok bool) {
	n := len(p.self)
	if len(id) <= n+1 || len(id) > maxID || id[n] != '-' || id[:n] == p.self {
		return "", false
	}
	return id[:n], p.link.Up(id[:n])
}

// maxID is more than any session's ID has in bytes, unless Options.NewID makes
// it so.
const maxID = 256

// receive takes a message of another node. What is malformed is dropped: it is
// of a node of another release, or of none.
func (p *peering) receive(from string, body []byte) {
	if len(body) < 2 || body[0] != peerVersion {
		return
	}
	kind, r := peerKind(body[1]), peerReader{b: body[2:]}
	number := r.number()
	switch kind {
	case kindGet, kindPost, kindUpgrade:
		m := foreign{from: from, req: number, protocol: int(r.number()), sid: r.text()}
		if kind == kindPost {
			m.records = r.byte()&flagBinary != 0
			m.body = r.bytes()
		}
		if r.end() {
			p.serve(kind, m)
		}
	case kindGone:
		if sid := r.text(); r.end() {
			p.gone(pollKey{from, number}, sid)
		}
	case kindNudge:
		if r.end() {
			p.nudged(pollKey{from, number})
		}
	case kindData:
		a := peerAnswer{kind: kind}
		flags := r.byte()
		a.answer.Binary, a.answer.Compress = flags&flagBinary != 0, flags&flagCompress != 0
		a.answer.Body = r.bytes()
		p.answered(from, number, a, &r)
	case kindStatus:
		a := peerAnswer{kind: kind, status: http.StatusBadRequest}
		switch n := r.number(); n {
		case working, http.StatusOK, http.StatusRequestEntityTooLarge:
			a.status = int(n)
		}
		p.answered(from, number, a, &r)
	case kindRefuse:
		p.answered(from, number, peerAnswer{kind: kind, refusal: refusalOf(int(r.number()), r.text())}, &r)
	case kindOffer:
		p.offered(from, number, peerAnswer{kind: kind, pipe: r.number()}, &r)
	case kindProbed, kindUpgraded, kindIn, kindCredit, kindEnd:
		p.fromEdge(kind, from, number, &r)
	case kindPiped, kindMoved, kindGrant, kindClose:
		p.fromOwner(kind, edgeKey{from, number}, &r)
	case kindOut:
		p.out(from, number, &r)
	}
}

// lost gives up what is under way with a node.
func (p *peering) lost(node string) {
	p.mu.Lock()
	var requests []*request
	for _, r := range p.requests {
		if r.node == node {
			requests = append(requests, r)
		}
	}
	var cancel []context.CancelFunc
	for key, o := range p.polls {
		if key.node == node {
			o.gone = true
			cancel = append(cancel, o.cancel)
		}
	}
	var pipes []*pipe
	for _, c := range p.pipes {
		if c.edge == node {
			pipes = append(pipes, c)
		}
	}
	var edges []*edge
	for key, e := range p.edges {
		if key.owner == node {
			edges = append(edges, e)
		}
	}
	for key := range p.offers {
		if key.owner == node {
			p.offers[key] = true
		}
	}
	delete(p.boxes, node) // pipes that there are keep theirs
	p.mu.Unlock()
	for _, r := range requests {
		r.settle(peerAnswer{kind: kindRefuse, refusal: unknownSession})
	}
	for _, f := range cancel {
		f()
	}
	for _, c := range pipes {
		c.end(errPipe)
	}
	for _, e := range edges {
		e.lost()
	}
}
