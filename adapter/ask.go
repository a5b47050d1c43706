package adapter

import (
	"context"
	"sync"

	"github.com/carillonhq/carillon/broker"
)

// An Answerer is a Socket whose client can be asked for an answer. A Socket
// that is none is passed over by Ask.
type Answerer interface {
	Socket

	// Ask is Deliver of a packet that wants an answer. If it reports true,
	// answer is to be called, even before Ask returns: with what the client
	// answers, or with false once the client is gone and can't. Calls after
	// the first have no effect, and none of them blocks.
	Ask(p *Packet, answer func(body []byte, ok bool)) bool

	// Forget ends the wait for the answer to p, which nobody wants any more.
	Forget(p *Packet)
}

// An Answer is what one socket answered.
type Answer struct {
	Socket SocketID
	Node   string // name of the node that holds it; empty without a cluster
	Body   []byte // as its Answerer has it
}

// Ask implements Adapter.
func (l *Local) Ask(ctx context.Context, t Target, p *Packet) ([]Answer, error) {
	ctx, release := l.bound(ctx)
	defer release()
	in := newInquiry()
	q := newQuestion(p, func(id SocketID, body []byte, ok bool) { in.answer(broker.NodeID{}, id, outcomeOf(ok), body) })
	defer q.forget()
	n, err := l.ask(t, q)
	if err != nil {
		return nil, err
	}
	in.count(broker.Member{}, n, nil)
	return in.wait(ctx)
}

// bound returns a ctx that also ends, with ErrClosed, when l is closed.
func (l *Local) bound(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.life, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// ask puts q to the sockets that t selects and returns how many took it.
func (l *Local) ask(t Target, q *question) (int, error) {
	if l.isClosed() {
		return 0, ErrClosed
	}
	n := 0
	l.each(t, func(m *member) {
		if a, ok := m.socket.(Answerer); ok && q.put(m.id, a) {
			n++
		}
	})
	return n, nil
}

func outcomeOf(ok bool) outcome {
	if ok {
		return answered
	}
	return gone
}

// A question is a packet that sockets of this node were asked to answer.
type question struct {
	packet *Packet
	hear   func(id SocketID, body []byte, ok bool) // once for each socket

	mu      sync.Mutex // guards waiting
	waiting map[SocketID]Answerer
}

func newQuestion(p *Packet, hear func(id SocketID, body []byte, ok bool)) *question {
	return &question{packet: p, hear: hear, waiting: make(map[SocketID]Answerer)}
}

// put asks one socket. It must not overlap with forget.
func (q *question) put(id SocketID, a Answerer) bool {
	q.mu.Lock()
	q.waiting[id] = a
	q.mu.Unlock()
	asked := a.Ask(q.packet, func(body []byte, ok bool) {
		if q.take(id) {
			q.hear(id, body, ok)
		}
	})
	if !asked {
		q.take(id)
	}
	return asked
}

// take reports whether id was waited for, and no longer is.
func (q *question) take(id SocketID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, waiting := q.waiting[id]
	delete(q.waiting, id)
	return waiting
}

// open reports whether an answer is missing.
func (q *question) open() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) > 0
}

// forget gives up what is missing.
func (q *question) forget() {
	q.mu.Lock()
	waiting := q.waiting
	q.waiting = nil
	q.mu.Unlock()
	for _, a := range waiting {
		a.Forget(q.packet)
	}
}
