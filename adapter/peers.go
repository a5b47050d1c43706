package adapter

import (
	"errors"
	"fmt"
	"slices"

	"github.com/carillonhq/carillon/broker"
)

// Peers is an Adapter whose nodes can tell one another, in a namespace, what is
// for the layer above alone: those of a Cluster are, and a Local, which has no
// peers, is not. Nodes are named as in a SocketID, by their short ids. All
// methods may be called concurrently, also from a PeerHandler and from within
// Log.Sequence.
type Peers interface {
	Recorder

	// Node returns the short id of this node.
	Node() string

	// Members returns the nodes that are up, this one among them.
	Members() []broker.Member

	// IsUp reports whether there is such a node, other than this one, at present.
	// It is cheap enough to be asked of whatever a client has sent.
	IsUp(node string) bool

	// TellPeer hands body to the PeerHandler of a topic on one node, in order
	// with all that this node says. It does not wait. It fails with
	// broker.ErrUnknownNode if that node is not up or is this one, with
	// broker.ErrOverflow, broker.ErrTooLarge or ErrClosed; without an error the
	// node gets it, unless it goes down or has not opened the namespace. body may
	// be long: what is said to others does not wait for it.
	TellPeer(node, topic string, body []byte) error

	// TellPeers is TellPeer to all other nodes.
	TellPeers(topic string, body []byte) error

	// HandlePeers sets what TellPeer and TellPeers of other nodes call on this
	// one, instead of the PeerHandler before. What nobody handles is dropped.
	HandlePeers(topic string, h PeerHandler)

	// Place says that the socket of an id is on a node, which its id does not
	// begin with; an empty node, that it is where its id says, or nowhere. What
	// is meant for it alone goes there, and what still comes here is passed on.
	// It may be called within Sequence. It reports whether something was sent
	// where the socket was said to be before, since that was first said.
	Place(id SocketID, node string) (used bool)

	// Outlive says that a socket of this node is on another, which took this one to
	// be dead: what still comes here for it alone it has got there, from those who
	// said it, and is not passed on. It precedes Place.
	Outlive(id SocketID)

	// Heirs returns the other nodes that are up and not about to leave, in the
	// order in which a key falls to them: see Rendezvous.
	Heirs(key string) (nodes []string)

	// WatchPeers has h called when a node has come up, or gone down: in order
	// with what it says. It must not block.
	WatchPeers(h func(node string, up bool)) (stop func())
}

// A PeerHandler is told what another node says to this one. It is called in the
// order in which that node says it, also with its broadcasts, and at the same
// time for different nodes. It holds up what that node says next, so it must not
// block. body is the handler's.
type PeerHandler func(from string, body []byte)

var _ Peers = (*clustered)(nil)

// Node implements Peers.
func (n *clustered) Node() string { return n.prefix }

// Members implements Peers.
func (n *clustered) Members() []broker.Member {
	bus := n.cluster.bus
	return append(bus.Members(), bus.Self())
}

// IsUp implements Peers.
func (n *clustered) IsUp(node string) bool {
	_, err := n.peer(node)
	return err == nil
}

// Heirs implements Peers.
func (n *clustered) Heirs(key string) (nodes []string) {
	others := n.cluster.bus.Members()
	for {
		m, ok := Rendezvous(key, others)
		if !ok {
			return nodes
		}
		nodes = append(nodes, m.ID.Short())
		others = slices.DeleteFunc(others, func(o broker.Member) bool { return o.ID == m.ID })
	}
}

func (n *clustered) peer(node string) (broker.Member, error) {
	m, ok := n.cluster.bus.Lookup(node)
	if !ok || node == n.prefix {
		return m, fmt.Errorf("%w: %.64q", broker.ErrUnknownNode, node)
	}
	return m, nil
}

// TellPeer implements Peers.
func (n *clustered) TellPeer(node, topic string, body []byte) error {
	if n.isClosed() {
		return ErrClosed
	}
	to, err := n.peer(node)
	if err == nil {
		err = n.cluster.bus.Send(to.ID, channel, n.peerMessage(topic, body))
	}
	if err != nil {
		return fmt.Errorf("adapter: tell a node of %s: %w", topic, err)
	}
	return nil
}

// TellPeers implements Peers.
func (n *clustered) TellPeers(topic string, body []byte) error {
	if n.isClosed() {
		return ErrClosed
	}
	if err := n.cluster.bus.Broadcast(channel, n.peerMessage(topic, body)); err != nil {
		return fmt.Errorf("adapter: tell all nodes of %s: %w", topic, err)
	}
	return nil
}

func (n *clustered) peerMessage(topic string, body []byte) []byte {
	m := message{kind: kindPeer, namespace: n.name}
	b := m.append(make([]byte, 0, 64+len(topic)+len(body)))
	return append(appendString(b, topic), body...)
}

// HandlePeers implements Peers.
func (n *clustered) HandlePeers(topic string, h PeerHandler) {
	n.peersMu.Lock()
	defer n.peersMu.Unlock()
	if n.peers == nil {
		n.peers = make(map[string]PeerHandler)
	}
	n.peers[topic] = h
}

// WatchPeers implements Peers.
func (n *clustered) WatchPeers(h func(node string, up bool)) (stop func()) {
	return n.cluster.bus.Watch(func(e broker.Event) {
		if e.Kind == broker.NodeUp || e.Kind == broker.NodeDown {
			h(e.Node.ID.Short(), e.Kind == broker.NodeUp)
		}
	})
}

var errTopic = errors.New("adapter: malformed message to a peer")

// peered hands what another node said to whom it is for.
func (n *clustered) peered(from broker.Member, data []byte) error {
	d := decoder{b: data}
	topic := d.bytes()
	if d.bad {
		return errTopic
	}
	n.peersMu.RLock()
	h := n.peers[string(topic)]
	n.peersMu.RUnlock()
	if h != nil && !n.isClosed() {
		h(from.ID.Short(), d.b)
	}
	return nil
}
