package adapter

import (
	"bytes"
	"context"
	"encoding/binary"
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

// begin gives an inquiry of ours its number.
func (a *asks) begin(in *inquiry) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	a.ours[a.last] = in
	return a.last
}

func (a *asks) end(number uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.ours, number)
}

// answered takes an answer to one of ours; a late one is dropped.
func (a *asks) answered(from broker.Member, data []byte) error {
	number, id, body, ok, err := decodeAnswer(data)
	if err != nil {
		return err
	}
	a.mu.Lock()
	in := a.ours[number]
	a.mu.Unlock()
	if in != nil {
		in.answer(from.ID, id, bytes.Clone(body), ok)
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

// forget ends a question of another node, which is done with it.
func (a *asks) forget(from broker.Member, data []byte) error {
	number, rest, err := decodeNumber(data)
	if err != nil || len(rest) > 0 {
		return errMalformed
	}
	a.mu.Lock()
	q := a.theirs[from.ID][number]
	a.drop(from.ID, number)
	a.mu.Unlock()
	if q != nil {
		q.forget()
	}
	return nil
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
func (c *Cluster) asked(from broker.Member, local *Local, m *message) (int, error) {
	number, data, err := decodeNumber(m.body)
	if err != nil {
		return 0, err
	}
	q := newQuestion(m.packet(data), func(id SocketID, body []byte, ok bool) {
		answer := message{kind: kindAnswer, body: appendAnswer(nil, number, id, body, ok)}
		err := c.bus.Send(from.ID, channel, answer.append(nil))
		if err != nil && !errors.Is(err, broker.ErrUnknownNode) && !errors.Is(err, broker.ErrClosed) {
			c.logger.Warn("a client's answer could not be passed on", "to", from.Name, "error", err)
		}
		c.asks.settle(from.ID, number)
	})
	n, err := local.ask(m.target, q)
	c.asks.keep(from.ID, number, q)
	c.asks.settle(from.ID, number)
	return n, err
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

	q := newQuestion(p, func(id SocketID, body []byte, ok bool) { in.answer(self.ID, id, body, ok) })
	defer q.forget()
	local, err := n.Local.ask(t, q)
	if err != nil {
		return nil, err
	}
	in.count(self, local, nil)

	body := binary.AppendUvarint(make([]byte, 0, len(p.Data)+10), number)
	g, failed := n.ask(kindAsk, packetFlags(p), t, append(body, p.Data...))
	if g != nil {
		for _, a := range g.Wait(ctx) {
			count, err := 0, a.Err
			if err == nil {
				count, err = decodeCount(a.Body)
			}
			in.count(a.From, count, err)
		}
	}
	answers, err := in.wait(ctx)
	forget := message{kind: kindForget, body: binary.AppendUvarint(nil, number)}
	for _, node := range in.debtors(self.ID) {
		// Without it the node waits until its clients have answered or gone.
		_ = bus.Send(node, channel, forget.append(nil))
	}
	if failed != nil {
		err = errors.Join(failed, err)
	}
	return answers, err
}
