package adapter

import "github.com/carillonhq/carillon/broker"

// publishing has Hooks.Publish follow a message that carries a packet with a
// trace, and puts in what other nodes get of the trace. What it returns, unless
// nil, is to be called when the bus has the message or has refused it.
func (n *clustered) publishing(m *message) (done func(error)) {
	publish := n.cluster.hooks.Publish
	if m.trace == "" || publish == nil {
		return nil
	}
	m.trace, done = publish(Passage{Namespace: n.name, Target: m.target, Trace: m.trace})
	return done
}

// delivering has Hooks.Deliver follow a packet to the sockets of this node.
// What it returns, unless nil, is to be called with the number of them.
func (n *clustered) delivering(from string, t Target, p *Packet) (done func(int)) {
	deliver := n.cluster.hooks.Deliver
	if p.Trace == "" || deliver == nil {
		return nil
	}
	return deliver(Passage{Namespace: n.name, Target: t, From: from, Trace: p.Trace})
}

// hand delivers a packet, of another node or of this one, to sockets of this
// node, and calls tell, unless nil, to have other nodes told, too: with the
// sequencer of g, unless that is nil, locked.
func (n *clustered) hand(g *Log, from string, t Target, p *Packet, tell func() Origin) (int, error) {
	done := n.delivering(from, t, p)
	sockets, err := n.Local.hand(g, t, p, tell)
	if g == nil && tell != nil && err == nil {
		tell()
	}
	if done != nil {
		done(sockets)
	}
	return sockets, err
}

// hear is hand of what another node sent.
func (n *clustered) hear(msg broker.Message, m *message) (int, error) {
	g := n.sequence()
	defer g.proceed()
	p := m.packet(m.body)
	p.origin = originOf(msg)
	return n.hand(g, msg.From.Name, m.target, p, nil)
}

// inquire is hand of a packet that is to be answered.
func (n *clustered) inquire(from string, t Target, q *question) (int, error) {
	done := n.delivering(from, t, q.packet)
	sockets, err := n.Local.ask(t, q)
	if done != nil {
		done(sockets)
	}
	return sockets, err
}
