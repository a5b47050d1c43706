package adapter

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/carillonhq/carillon/broker"
)

// maxRouted bounds the rooms of a Target that are looked up one by one.
const maxRouted = 16

// route says which other nodes must hear of what is meant for t: those that
// hold the only sockets concerned, which may be none, or all.
func (n *clustered) route(t Target) (nodes []broker.NodeID, all bool) {
	if t.Local {
		return nil, false
	}
	if len(t.Rooms) == 0 || len(t.Rooms) > maxRouted {
		return nil, true
	}
	self := n.cluster.bus.Self().ID
	for _, room := range t.Rooms {
		// Sockets move where a Log is kept, and what was for one that has just
		// gone is passed on after it: if it was for that one alone.
		if len(t.Rooms) > 1 && len(room) == idLen && n.log.Load() != nil {
			return nil, true
		}
		holders, known := n.holders(room)
		if !known {
			return nil, true
		}
		for _, id := range holders {
			if id != self && !slices.Contains(nodes, id) {
				nodes = append(nodes, id)
			}
		}
	}
	// One message to all is cheaper than many to some.
	if len(nodes) > 3 && len(nodes) > len(n.cluster.bus.Members())/3 {
		return nil, true
	}
	return nodes, false
}

// holders returns the nodes that alone may hold members of a room, if known.
func (n *clustered) holders(room Room) ([]broker.NodeID, bool) {
	if len(room) == idLen {
		if node, moved := n.place(SocketID(room)); moved {
			return []broker.NodeID{node}, true
		}
		if m, ok := n.cluster.bus.Lookup(string(room[:len(n.prefix)])); ok {
			return []broker.NodeID{m.ID}, true
		}
	}
	if locate := n.cluster.locate; locate != nil {
		return locate(n.name, room)
	}
	return nil, false
}

// members returns the other nodes concerned.
func (n *clustered) members(t Target) []broker.Member {
	nodes, all := n.route(t)
	if !all && len(nodes) == 0 {
		return nil
	}
	members := n.cluster.bus.Members()
	if all {
		return members
	}
	return slices.DeleteFunc(members, func(m broker.Member) bool { return !slices.Contains(nodes, m.ID) })
}

// tell sends a message to the nodes concerned. It returns under which number,
// if it was to all. It needs the sequencer, if there is one.
func (n *clustered) tell(m message) (o Origin, err error) {
	nodes, all := n.route(m.target)
	if !all && len(nodes) == 0 {
		return Origin{}, nil
	}
	m.namespace = n.name
	if done := n.publishing(&m); done != nil {
		defer func() { done(err) }()
	}
	if !all {
		m.flags |= flagRouted
	}
	data := m.append(make([]byte, 0, 64+len(m.body)))
	var number uint64
	if all {
		number, err = n.cluster.bus.Say(channel, data)
	}
	for _, node := range nodes {
		number, failed := n.cluster.bus.SayTo(node, channel, data)
		n.log.Load().keepDirect(node, number, m)
		if !errors.Is(failed, broker.ErrUnknownNode) { // else it has just gone, and its sockets with it
			err = errors.Join(err, failed)
		}
	}
	if err != nil {
		err = fmt.Errorf("adapter: tell other nodes: %w", err)
	}
	return n.cluster.origin(number), err
}

// ask sends a request to the nodes concerned; nil if there are none. It returns
// under which number, if it was to all. What is to be delivered it sends under
// the sequencer, if there is one.
func (n *clustered) ask(m message) (g *broker.Gather, o Origin, err error) {
	nodes, all := n.route(m.target)
	if !all && len(nodes) == 0 {
		return nil, Origin{}, nil
	}
	m.namespace = n.name
	if done := n.publishing(&m); done != nil {
		defer func() { done(err) }()
	}
	if !all {
		m.flags |= flagRouted
	}
	g, err = n.cluster.bus.Request(channel, m.append(nil), nodes...)
	if err != nil {
		return nil, Origin{}, fmt.Errorf("adapter: ask other nodes: %w", err)
	}
	if all {
		o = n.cluster.origin(g.Number())
	}
	for _, node := range nodes {
		n.log.Load().keepDirect(node, g.NumberTo(node), m)
	}
	return g, o, nil
}

// gather hands every node's answer to use, and returns who is missing.
func gather(ctx context.Context, g *broker.Gather, use func(from broker.Member, body []byte) error) error {
	var missing []Missing
	for _, a := range g.Wait(ctx) {
		err := a.Err
		if err == nil {
			err = use(a.From, a.Body)
		}
		if err != nil {
			missing = append(missing, Missing{Node: a.From.Name, Err: err})
		}
	}
	if missing != nil {
		return &PartialError{Missing: missing}
	}
	return nil
}
