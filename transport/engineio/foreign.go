package engineio

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/polling"
)

// Polling requests that came in at other nodes, seen from the session's owner.

// workTime is how often the owner says that it works on a POST.
const workTime = 2 * time.Second

// foreign is a request that another node got.
type foreign struct {
	from     string
	req      uint64
	protocol int
	sid      string
	records  bool   // of a POST
	body     []byte // of a POST
}

// A pollKey names a GET: the edge's node and the number that it gave it.
type pollKey struct {
	node string
	req  uint64
}

// A poll is a GET of another node that waits.
type poll struct {
	cancel context.CancelFunc
	nudge  chan struct{} // has room for one
	gone   bool          // guarded by peering.mu: its answer reaches nobody
}

// serve answers a request. It does not wait.
func (p *peering) serve(kind peerKind, m foreign) {
	if kind == kindUpgrade {
		p.offer(m)
		return
	}
	conn, sess, refused, ok := p.find(m)
	if !ok {
		p.refuse(m, refused)
		return
	}
	if kind == kindPost {
		p.run(func() { p.take(conn, sess, m) })
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := &poll{cancel: cancel, nudge: make(chan struct{}, 1)}
	key := pollKey{m.from, m.req}
	p.mu.Lock()
	p.polls[key] = o
	p.mu.Unlock()
	if !p.run(func() { p.wait(ctx, conn, sess, m, o) }) {
		p.done(key)
		cancel()
	}
}

// find returns the session that a request names and its transport, or what to
// answer instead.
func (p *peering) find(m foreign) (*polling.Conn, *Session, refusal, bool) {
	sess := p.srv.lookup(m.sid)
	if sess == nil {
		return nil, nil, unknownSession, false
	}
	if m.protocol != sess.Protocol() {
		return nil, nil, badRequest.because("PROTOCOL_MISMATCH", "protocol", m.protocol, "previousProtocol", sess.Protocol()), false
	}
	conn, ok := sess.polling()
	if !ok {
		return nil, nil, sess.unserved(Polling), false
	}
	return conn, sess, refusal{}, true
}

// wait answers a GET when there is something to answer.
func (p *peering) wait(ctx context.Context, conn *polling.Conn, sess *Session, m foreign, o *poll) {
	defer o.cancel()
	a, err := conn.Poll(ctx, o.nudge)
	gone := p.done(pollKey{m.from, m.req})
	switch {
	case err == nil && gone:
		conn.Abandon()
	case err == nil:
		flags := frameFlags(a.Binary)
		if a.Compress {
			flags |= flagCompress
		}
		data := appendText(append(peerMessage(kindData, m.req), flags), a.Body)
		if p.link.Send(m.from, data) != nil {
			conn.Abandon()
			return
		}
		conn.Polled(a)
	case errors.Is(err, transport.ErrProtocol):
		p.status(m, http.StatusBadRequest)
	case errors.Is(err, polling.ErrAbandoned):
		p.refuse(m, unknownSession) // if the edge still waits
	default:
		p.refuse(m, sess.unserved(Polling))
	}
}

// done forgets a GET, and reports whether its answer reaches nobody.
func (p *peering) done(key pollKey) (gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.polls[key]; o != nil {
		gone = o.gone
		delete(p.polls, key)
	}
	return gone
}

// take takes a POST.
func (p *peering) take(conn *polling.Conn, sess *Session, m foreign) {
	status := http.StatusBadRequest // if the application panics
	var refused *refusal
	w := &work{p: p, m: m}
	w.begin()
	defer func() {
		w.end()
		if refused != nil {
			p.refuse(m, *refused)
			return
		}
		p.status(m, status)
	}()
	n, err := conn.Post(m.body, m.records)
	if err != nil {
		e := sess.unserved(Polling)
		refused = &e
		return
	}
	status = n
}

// gone follows that the client of a request has given it up.
func (p *peering) gone(key pollKey, sid string) {
	p.mu.Lock()
	o := p.polls[key]
	if o != nil {
		o.gone = true
	}
	p.mu.Unlock()
	if o != nil {
		o.cancel()
		return
	}
	if sess := p.srv.lookup(sid); sess != nil {
		if conn, ok := sess.polling(); ok {
			conn.Abandon()
		}
	}
}

// nudged has a GET answered.
func (p *peering) nudged(key pollKey) {
	p.mu.Lock()
	o := p.polls[key]
	p.mu.Unlock()
	if o == nil {
		return // its answer is on its way
	}
	select {
	case o.nudge <- struct{}{}:
	default:
	}
}

func (p *peering) status(m foreign, status int) {
	_ = p.link.Send(m.from, peerMessage(kindStatus, m.req, uint64(status))) // else the edge has lost us
}

func (p *peering) refuse(m foreign, e refusal) {
	name, _ := e.context["name"].(string)
	_ = p.link.Send(m.from, appendText(peerMessage(kindRefuse, m.req, uint64(e.Code)), name)) // else the edge has lost us
}

// unserved is why a request by a transport cannot be served.
func (s *Session) unserved(name string) refusal {
	now := s.Transport()
	if now == name {
		return unknownSession.with("sid", s.id) // it is ending
	}
	return badRequest.because("TRANSPORT_MISMATCH", "transport", name, "previousTransport", now)
}

// work says from time to time that a POST is being worked on.
type work struct {
	p     *peering
	m     foreign
	alarm alarm // its methods are called under peering.mu
	over  bool  // guarded by that, too
}

func (w *work) begin() {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	w.alarm = alarm{wg: &w.p.wg, f: w.tell}
	w.alarm.set(workTime)
}

func (w *work) tell() {
	w.p.mu.Lock()
	over := w.over
	if !over {
		w.alarm.set(workTime)
	}
	w.p.mu.Unlock()
	if !over {
		w.p.status(w.m, working)
	}
}

func (w *work) end() {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	w.over = true
	w.alarm.stop()
}
