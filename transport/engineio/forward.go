package engineio

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/polling"
)

// Polling requests of other nodes' sessions, seen from the edge. All that is
// HTTP is done here; what the session makes of it is the owner's.

const (
	// postTime is how long an owner may be silent about a POST, or about the
	// beginning of an upgrade. As long as it works on one it says so.
	postTime = 5 * time.Second

	// pollTime is how much longer than a heartbeat, which answers it, a poll
	// may take.
	pollTime = 5 * time.Second

	// leaveTime is how long a poll waits at a node that is about to leave.
	leaveTime = time.Second
)

// A request is one that this node forwarded.
type request struct {
	node   string
	number uint64
	poll   bool
	answer chan peerAnswer // has room for one
}

// A peerAnswer is what the owner of a session says to a request.
type peerAnswer struct {
	kind    peerKind
	answer  polling.Answer // of kindData
	status  int            // of kindStatus
	refusal refusal        // of kindRefuse
	pipe    uint64         // of kindOffer
}

// working is the status by which the owner of a session says that it works on a
// request.
const working = http.StatusContinue

// settle makes a the answer, unless there is one.
func (r *request) settle(a peerAnswer) {
	select {
	case r.answer <- a:
	default:
	}
}

// forward answers a request that names a session of another node, or reports
// that it names none.
func (p *peering) forward(w http.ResponseWriter, r *http.Request, name, id string, query url.Values) bool {
	if p == nil {
		return false
	}
	node, ok := p.owner(id)
	if !ok {
		return false
	}
	switch upgrade := isUpgrade(r); {
	case upgrade && (name != WebSocket || p.srv.opts.DisableUpgrades):
		p.srv.refuse(w, r, badRequest.because("TRANSPORT_HANDSHAKE_ERROR"))
	case upgrade:
		p.upgrade(w, r, node, id, query)
	case name != Polling:
		p.srv.refuse(w, r, badRequest.because("TRANSPORT_MISMATCH", "transport", name))
	case r.Method == http.MethodGet:
		p.get(w, r, node, id, version(query))
	case r.Method == http.MethodPost:
		p.post(w, r, node, id, version(query))
	default:
		polling.Header(w, r)
		w.WriteHeader(http.StatusInternalServerError) // as polling.Conn does
	}
	return true
}

// get answers a poll.
func (p *peering) get(w http.ResponseWriter, r *http.Request, node, id string, protocol int) {
	polling.Header(w, r)
	q := p.request(node, true)
	defer p.forget(q)
	o := &p.srv.opts
	a, err := p.ask(r.Context(), q, appendText(peerMessage(kindGet, q.number, uint64(protocol)), id), o.PingInterval+o.PingTimeout+pollTime)
	if err == nil && a.kind == kindData {
		if err = p.srv.polling.Write(w, r, a.answer); err == nil {
			p.forwarded(r.Method, "")
			return
		}
	}
	if err != nil {
		// What the answer holds, or will, does not reach the client any more.
		_ = p.link.Send(node, appendText(peerMessage(kindGone, q.number), id)) // else the owner has lost us
	}
	p.fail(w, r, id, a, err)
}

// post passes on what a client sends. It is told "ok" when the owner has taken
// it all, so that what it sends next, by any node, comes behind it.
func (p *peering) post(w http.ResponseWriter, r *http.Request, node, id string, protocol int) {
	polling.Header(w, r)
	q := p.request(node, false)
	defer p.forget(q)
	body, err := p.srv.polling.Read(w, r)
	if errors.Is(err, transport.ErrTooLarge) {
		p.forwarded(r.Method, "too large")
		polling.Done(w, http.StatusRequestEntityTooLarge) // the session lives on
		return
	}
	var a peerAnswer
	if err != nil {
		a = peerAnswer{kind: kindStatus, status: http.StatusBadRequest}
	} else {
		m := appendText(peerMessage(kindPost, q.number, uint64(protocol)), id)
		m = append(m, frameFlags(polling.Records(r)))
		a, err = p.ask(r.Context(), q, appendText(m, body), postTime)
	}
	switch {
	case err != nil:
		_ = p.link.Send(node, appendText(peerMessage(kindGone, q.number), id)) // else the owner has lost us
	case a.kind == kindStatus && a.status == http.StatusOK:
		p.forwarded(r.Method, "")
		polling.Done(w, a.status)
		return
	}
	p.fail(w, r, id, a, err)
}

// fail answers a request of which nothing came.
func (p *peering) fail(w http.ResponseWriter, r *http.Request, id string, a peerAnswer, err error) {
	switch {
	case errors.Is(err, context.Canceled):
		p.forwarded(r.Method, "abandoned")
	case err != nil && a.kind == kindData:
		p.forwarded(r.Method, "write") // there is nobody to tell
	case err != nil && a.kind != kindStatus:
		p.forwarded(r.Method, causeOf(err))
		p.srv.refuse(w, r, unknownSession.with("sid", id))
	case a.kind == kindStatus:
		p.forwarded(r.Method, "refused")
		polling.Done(w, a.status)
	default:
		p.forwarded(r.Method, "refused")
		if a.kind != kindRefuse {
			a.refusal = unknownSession
		}
		if a.refusal.context == nil {
			a.refusal = a.refusal.with("sid", id)
		}
		p.srv.refuse(w, r, a.refusal)
	}
}

// errSilent says that the owner of a session did not answer in time.
var errSilent = errors.New("engineio: no answer of the session's node")

func causeOf(err error) string {
	if errors.Is(err, errSilent) {
		return "timeout"
	}
	return "unreachable"
}

func (p *peering) forwarded(method, failure string) {
	if f := p.srv.opts.Hooks.Forwarded; f != nil {
		f(method, failure)
	}
}

// request makes a place for an answer.
func (p *peering) request(node string, isPoll bool) *request {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	q := &request{node: node, number: p.last, poll: isPoll, answer: make(chan peerAnswer, 1)}
	p.requests[q.number] = q
	return q
}

func (p *peering) forget(q *request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.requests, q.number)
}

// ask sends m and waits for its answer: as long as patience says since the
// owner was heard of last.
func (p *peering) ask(ctx context.Context, q *request, m []byte, patience time.Duration) (peerAnswer, error) {
	if err := p.link.Send(q.node, m); err != nil {
		return peerAnswer{}, err
	}
	p.mu.Lock()
	closed := p.closed
	var leave <-chan time.Time
	if p.leaving && q.poll {
		leave = time.After(leaveTime)
	}
	p.mu.Unlock()
	if closed || !p.link.Up(q.node) { // else lost, or close, has missed q
		return peerAnswer{}, errSilent
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case a := <-q.answer:
			if a.kind != kindStatus || a.status != working {
				return a, nil
			}
			timer.Reset(patience)
		case <-leave:
			p.nudge(q)
		case <-timer.C:
			return peerAnswer{}, errSilent
		case <-ctx.Done():
			return peerAnswer{}, context.Canceled
		}
	}
}

// answered hands an answer to the request that waits for it.
func (p *peering) answered(from string, number uint64, a peerAnswer, r *peerReader) {
	if !r.end() {
		return
	}
	p.mu.Lock()
	q := p.requests[number]
	p.mu.Unlock()
	if q != nil && q.node == from {
		q.settle(a)
	}
}

// leave has the polls that wait here answered soon, so that their clients go on
// by another node.
func (p *peering) leave() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.leaving = true
	var polls []*request
	for _, q := range p.requests {
		if q.poll {
			polls = append(polls, q)
		}
	}
	p.mu.Unlock()
	for _, q := range polls {
		p.nudge(q)
	}
}

func (p *peering) nudge(q *request) {
	_ = p.link.Send(q.node, peerMessage(kindNudge, q.number)) // else the answer is that it is lost
}
