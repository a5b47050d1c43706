package socketio

import (
	"context"
	"errors"
	"fmt"

	"github.com/carillonhq/carillon/adapter"
)

var errAnswer = errors.New("socketio: malformed answer of a node")

// EmitWithAck sends an event to the sockets chosen, on all nodes, and returns
// the arguments of each client's acknowledgement, in no order. It returns when
// all have answered. A client that disconnects meanwhile and a node that goes
// down are not waited for; a client that never answers is, so ctx should have a
// deadline. When it is over, or a client or a node was lost, the answers of
// the others come with an error: it wraps an *adapter.PartialError that counts
// what is missing of which node. Where no socket is chosen it returns at once.
//
// A Handler may call it, also for sockets that its own is one of.
func (e Emitter) EmitWithAck(ctx context.Context, event string, args ...any) ([]Args, error) {
	p, err := e.packet(event, args)
	if err != nil {
		return nil, err
	}
	if e.trace == "" {
		e = e.Context(ctx)
	}
	done := e.tracing(p, event)
	answers, err := e.namespace.adapter.Ask(ctx, e.target, p)
	if done != nil {
		done(err)
	}
	all := make([]Args, 0, len(answers))
	for _, a := range answers {
		args, ok := e.namespace.decodeAnswer(a.Body)
		if !ok {
			err = errors.Join(err, fmt.Errorf("%w: %s", errAnswer, a.Node))
			continue
		}
		all = append(all, args)
	}
	if err != nil {
		err = fmt.Errorf("acknowledgements of %q: %w", event, err)
	}
	return all, err
}

// EmitWithAcks is Emitter.EmitWithAck for acknowledgements of one argument,
// decoded into R. Those that can't be are left out, and make an error.
func EmitWithAcks[R any](ctx context.Context, e Emitter, event string, args ...any) ([]R, error) {
	answers, err := e.EmitWithAck(ctx, event, args...)
	all := make([]R, 0, len(answers))
	for _, a := range answers {
		var r R
		if bad := a.Bind(&r); bad != nil {
			err = errors.Join(err, fmt.Errorf("acknowledgement of %q: %w", event, bad))
			continue
		}
		all = append(all, r)
	}
	return all, err
}

// EmitWithAck is Socket.EmitWithAck for a socket of any node. If the socket is
// not there any more it fails with ErrDisconnected.
func (s RemoteSocket) EmitWithAck(ctx context.Context, event string, args ...any) (Args, error) {
	answers, err := s.Emitter.EmitWithAck(ctx, event, args...)
	switch {
	case len(answers) > 0:
		return answers[0], nil
	case err == nil:
		return nil, fmt.Errorf("acknowledgement of %q: %w", event, ErrDisconnected)
	case errors.Is(err, adapter.ErrGone):
		return nil, fmt.Errorf("%w: %w", ErrDisconnected, err)
	}
	return nil, err
}

// question returns the *outgoing of a packet that wants to be answered, one
// for all sockets of this node. Such an event travels without an ack id: each
// node puts in one of its own namespace's, so that it can't be taken for that
// of another event of this node.
func (n *Namespace) question(p *adapter.Packet) *outgoing {
	o, _ := p.Shared(func(data []byte) any {
		id := n.ackID.Add(1) - 1
		e, ok := n.withID(data, id)
		if !ok {
			return nil
		}
		return newOutgoing(e, id, p.NoCompress)
	}).(*outgoing)
	return o
}

// Ask implements adapter.Answerer.
func (s *socketAdapter) Ask(p *adapter.Packet, answer func(body []byte, ok bool)) bool {
	o := s.namespace.question(p)
	if o == nil {
		return false
	}
	waiting := s.expect(o.id, func(args Args, ok bool) {
		if ok {
			answer(s.namespace.encodeAnswer(args), true)
		} else {
			answer(nil, false)
		}
	})
	if !waiting {
		return false
	}
	if s.deliver(o, p.Volatile) {
		return true
	}
	return s.takeAck(o.id) == nil // the end of the socket, or even the client, was faster
}

// Forget implements adapter.Answerer.
func (s *socketAdapter) Forget(p *adapter.Packet) {
	if o := s.namespace.question(p); o != nil {
		s.takeAck(o.id)
	}
}

// expect has f called with the acknowledgement of an id, or with false at the
// end of the socket, unless takeAck comes first. It reports false if the
// socket is not connected.
func (s *Socket) expect(id uint64, f func(args Args, ok bool)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Load() != connected {
		return false
	}
	if s.acks == nil {
		s.acks = make(map[uint64]func(Args, bool))
	}
	s.acks[id] = f
	return true
}

// takeAck returns what waits for an acknowledgement, once.
func (s *Socket) takeAck(id uint64) func(args Args, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.acks[id]
	delete(s.acks, id)
	return f
}
