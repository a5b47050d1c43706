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

// hear is hand of what another node sent. It reports how many sockets took it.
func (n *clustered) hear(msg broker.Message, m *message) (int, error) {
	g := n.sequence()
	defer g.proceed()
	if n.passOn(m) {
		return 1, nil
	}
	p := m.packet(m.body)
	p.origin, p.routed = originOf(msg), m.flags&flagRouted != 0
	return n.hand(g, msg.From.Name, m.target, p, nil)
}

// inquire is hand of a packet that is to be answered. A Log does not keep it, and
// knows that it was heard: who was asked here is not asked on another node, too.
func (n *clustered) inquire(from string, t Target, q *question, tell func() Origin) (int, error) {
	g := n.sequence()
	defer g.proceed()
	if o := q.packet.origin; !q.packet.routed {
		t = g.unless(t, o)
	}
	done := n.delivering(from, t, q.packet)
	sockets, err := n.Local.ask(t, q)
	if done != nil {
		done(sockets)
	}
	o := q.packet.origin
	if tell != nil && err == nil {
		o = tell()
	}
	g.note(o)
	return sockets, err
}
