package adapter

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/carillonhq/carillon/broker"
)

// asks are the questions under way between this node and the others. Those of
// ours end with the call of Ask, those of other nodes when all sockets of this
// node have answered, or the asker forgets them or goes down.
type asks struct {
	mu     sync.Mutex // guards all below
	last   uint64
	ours   map[uint64]*inquiry
	theirs map[broker.NodeID]map[uint64]*question
}

func (a *asks) init() {
	a.ours = make(map[uint64]*inquiry)
	a.theirs = make(map[broker.NodeID]map[uint64]*question)
}

// number returns one that no other question of this node has.
func (a *asks) number() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	return a.last
}

// begin gives an inquiry of ours its number.
func (a *asks) begin(in *inquiry) uint64 {
	number := a.number()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ours[number] = in
	return number
}

func (a *asks) end(number uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.ours, number)
}

// answered takes an answer to one of ours; a late one is dropped.
func (a *asks) answered(from broker.Member, data []byte) error {
	number, id, what, body, err := decodeAnswer(data)
	if err != nil {
		return err
	}
	a.mu.Lock()
	in := a.ours[number]
	a.mu.Unlock()
	if in != nil {
		in.answer(from.ID, id, what, bytes.Clone(body))
	}
	return nil
}

// keep remembers a question of another node.
func (a *asks) keep(from broker.NodeID, number uint64, q *question) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.theirs[from] == nil {
		a.theirs[from] = make(map[uint64]*question)
	}
	a.theirs[from][number] = q
}

// settle drops a question of another node if no answer is missing.
func (a *asks) settle(from broker.NodeID, number uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if q := a.theirs[from][number]; q != nil && !q.open() {
		a.drop(from, number)
	}
}

// drop needs mu.
func (a *asks) drop(from broker.NodeID, number uint64) {
	delete(a.theirs[from], number)
	if len(a.theirs[from]) == 0 {
		delete(a.theirs, from)
	}
}

// forgotten ends what another node is done with.
func (c *Cluster) forgotten(from broker.Member, data []byte) error {
	number, rest, err := decodeNumber(data)
	if err != nil || len(rest) > 0 {
		return errMalformed
	}
	c.pages.take(from.ID, number)
	c.asks.forget(from.ID, number)
	return nil
}

// forget ends a question of another node.
func (a *asks) forget(from broker.NodeID, number uint64) {
	a.mu.Lock()
	q := a.theirs[from][number]
	a.drop(from, number)
	a.mu.Unlock()
	if q != nil {
		q.forget()
	}
}

// down ends what a node asked, and what it was asked.
func (a *asks) down(node broker.NodeID) {
	a.mu.Lock()
	questions := a.theirs[node]
	delete(a.theirs, node)
	ours := make([]*inquiry, 0, len(a.ours))
	for _, in := range a.ours {
		ours = append(ours, in)
	}
	a.mu.Unlock()
	for _, q := range questions {
		q.forget()
	}
	for _, in := range ours {
		in.down(node)
	}
}

// asked puts another node's question to the sockets of this one. What the
// other node says next, and its end, are heard after it returns.
func (c *Cluster) asked(msg broker.Message, node *clustered, m *message) (int, error) {
	number, data, err := decodeNumber(m.body)
	if err != nil {
		return 0, err
	}
	p := m.packet(data)
	p.origin, p.routed = originOf(msg), m.flags&flagRouted != 0
	from := msg.From
	q := newQuestion(p, func(id SocketID, body []byte, ok bool) {
		c.answer(from, number, id, outcomeOf(ok), body)
		c.asks.settle(from.ID, number)
	})
	n, err := node.inquire(from.Name, m.target, q, nil)
	c.asks.keep(from.ID, number, q)
	c.asks.settle(from.ID, number)
	return n, err
}

// answer passes on the answer of a socket, or of this node, to an asker.
func (c *Cluster) answer(to broker.Member, number uint64, id SocketID, what outcome, body []byte) {
	m := message{kind: kindAnswer, body: appendAnswer(nil, number, id, what, body)}
	err := c.bus.Send(to.ID, channel, m.append(nil))
	if err != nil && !errors.Is(err, broker.ErrUnknownNode) && !errors.Is(err, broker.ErrClosed) {
		c.logger.Warn("an answer could not be passed on", "to", to.Name, "error", err)
	}
}

// Ask implements Adapter.
func (n *clustered) Ask(ctx context.Context, t Target, p *Packet) ([]Answer, error) {
	ctx, release := n.bound(ctx)
	defer release()
	bus := n.cluster.bus
	self := bus.Self()
	in := newInquiry()
	number := n.cluster.asks.begin(in)
	defer n.cluster.asks.end(number)

	q := newQuestion(p, func(id SocketID, body []byte, ok bool) { in.answer(self.ID, id, outcomeOf(ok), body) })
	defer q.forget()
	var others *broker.Gather
	var failed error
	local, err := n.inquire("", t, q, func() (o Origin) {
		others, o, failed = n.put(number, packetMessage(kindAsk, t, p))
		return o
	})
	if err != nil {
		return nil, err
	}
	in.count(self, local, nil)
	in.countAll(ctx, others)
	answers, err := in.wait(ctx)
	for _, node := range in.debtors(self.ID) {
		n.cluster.forget(node, number)
	}
	if failed != nil {
		err = errors.Join(failed, err)
	}
	return answers, err
}

// put asks the nodes concerned what m says.
func (n *clustered) put(number uint64, m message) (*broker.Gather, Origin, error) {
	body := appendNumber(make([]byte, 0, len(m.body)+10), number)
	m.body = append(body, m.body...)
	return n.ask(m)
}

// countAll waits until it is known how many answers each node owes; nil: none.
func (in *inquiry) countAll(ctx context.Context, g *broker.Gather) {
	if g == nil {
		return
	}
	for _, a := range g.Wait(ctx) {
		count, err := 0, a.Err
		if err == nil {
			count, err = decodeCount(a.Body)
		}
		in.count(a.From, count, err)
	}
}

// forget tells a node that a number is done with. Without it the node keeps a
// question until its clients have answered or gone.
func (c *Cluster) forget(node broker.NodeID, number uint64) {
	m := message{kind: kindForget, body: appendNumber(nil, number)}
	_ = c.bus.Send(node, channel, m.append(nil))
}
