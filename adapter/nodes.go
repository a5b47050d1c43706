package adapter

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/carillonhq/carillon/broker"
)

// A NodeHandler is told what other nodes say to this one, to a namespace, with
// TellNodes and AskNodes: never what this node says. from is the other node's
// name; body is the handler's. It is called in the order of each node's calls,
// also with its broadcasts, and at the same time for different nodes. It holds
// up what its caller's node says next, so it must not block, and in particular
// not wait for another node.
//
// answer is nil if no answer is wanted. Else it is to be called once, from any
// goroutine and even after the handler has returned: with an answer, or with
// an error whose text the asker gets as a *broker.RefusedError. Calls after
// the first have no effect, and none of them blocks.
type NodeHandler func(from string, body []byte, answer func(body []byte, err error))

// A NodeAnswer is what another node answered to AskNodes.
type NodeAnswer struct {
	Node string // its name
	Body []byte
}

// HandleNodes implements Adapter.
func (l *Local) HandleNodes(h NodeHandler) { l.nodes.Store(&h) }

// nodeHandler returns nil where there is none.
func (l *Local) nodeHandler() NodeHandler {
	if h := l.nodes.Load(); h != nil && !l.isClosed() {
		return *h
	}
	return nil
}

// TellNodes implements Adapter: there are none. It fails with ErrClosed only.
func (l *Local) TellNodes([]byte) error {
	if l.isClosed() {
		return ErrClosed
	}
	return nil
}

// AskNodes implements Adapter: there are none. It fails with ErrClosed only.
func (l *Local) AskNodes(context.Context, []byte) ([]NodeAnswer, error) {
	if l.isClosed() {
		return nil, ErrClosed
	}
	return nil, nil
}

// TellNodes implements Adapter.
func (n *clustered) TellNodes(body []byte) error {
	if n.isClosed() {
		return ErrClosed
	}
	_, err := n.tell(message{kind: kindTell, body: body})
	return err
}

// AskNodes implements Adapter.
func (n *clustered) AskNodes(ctx context.Context, body []byte) ([]NodeAnswer, error) {
	if n.isClosed() {
		return nil, ErrClosed
	}
	ctx, release := n.bound(ctx)
	defer release()
	in := newInquiry()
	in.once = true
	number := n.cluster.asks.begin(in)
	defer n.cluster.asks.end(number)

	others, _, failed := n.put(number, message{kind: kindAskNodes, body: body})
	in.countAll(ctx, others)
	answers, err := in.wait(ctx)
	nodes := make([]NodeAnswer, len(answers))
	for i, a := range answers {
		nodes[i] = NodeAnswer{Node: a.Node, Body: a.Body}
	}
	if partial, ok := errors.AsType[*PartialError](err); ok {
		for i := range partial.Missing {
			partial.Missing[i].Sockets = 0 // it is the node that owes
		}
	}
	if failed != nil {
		err = errors.Join(failed, err)
	}
	return nodes, err
}

// askedNode puts another node's question to this node's handler, and returns
// how many answers there will be.
func (c *Cluster) askedNode(from broker.Member, local *Local, m *message) (int, error) {
	number, body, err := decodeNumber(m.body)
	h := local.nodeHandler()
	if h == nil || err != nil {
		return 0, err
	}
	var done atomic.Bool
	h(from.Name, body, func(body []byte, err error) {
		switch {
		case done.Swap(true):
		case err != nil:
			c.answer(from, number, "", refused, []byte(err.Error()))
		default:
			c.answer(from, number, "", answered, body)
		}
	})
	return 1, nil
}
