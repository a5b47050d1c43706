package broker

import "fmt"

// An EventKind says what an Event tells.
type EventKind int

// The kinds of events.
const (
	// NodeUp: Node joined, or came back. It precedes the node's first message.
	NodeUp EventKind = iota + 1
	// NodeDown: Node left, fell silent, or was replaced by a node of the same
	// name. It follows the node's last message.
	NodeDown
	// Gap: messages of Node may be missing, those after number From up to and
	// including number To. It stands where they would have been handed over.
	// What was built from the node's messages should be read anew.
	Gap
	// Frozen: this node no longer hears itself through the broker. What it
	// knows of the others is stale, and it declares nobody down.
	Frozen
	// Thawed: this node hears itself again.
	Thawed
	// StateChanged: the Bus is now in State.
	StateChanged
	// NodeDraining: Node, which may be this one, is about to leave. Of a node
	// that is so when it comes up, NodeUp tells it.
	NodeDraining
)

var kindNames = [...]string{NodeUp: "node up", NodeDown: "node down", Gap: "gap", Frozen: "frozen", Thawed: "thawed", StateChanged: "state changed", NodeDraining: "node draining"}

func (k EventKind) String() string {
	if k < NodeUp || int(k) >= len(kindNames) {
		return fmt.Sprintf("EventKind(%d)", int(k))
	}
	return kindNames[k]
}

// An Event is something that happened to the cluster, seen from this node.
type Event struct {
	Kind     EventKind
	Node     Member // whom NodeUp, NodeDown, NodeDraining and Gap are about; else this node
	From, To uint64 // of Gap
	State    State  // of StateChanged
}

// A State is what a Bus is to its broker.
type State int

// The states of a Bus.
const (
	Connecting State = iota // the broker has not been reached yet: this node is local-only
	Up                      // joined
	Down                    // the connection is lost and being repaired; messages wait
	Degraded                // as Connecting or Down, but beyond Retry.Retries
	Closed
)

var stateNames = [...]string{"connecting", "up", "down", "degraded", "closed"}

func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return stateNames[s]
}

// Watch registers f for events. Events of one node come one at a time and in
// order with its messages; those of different nodes, and of this node, may
// come concurrently. f must not block for long: it holds up that node's
// messages. Nodes that were up before are not announced again: to know them
// all, call Watch first, then Members, and expect to hear of some twice.
func (b *Bus) Watch(f func(Event)) (cancel func()) {
	w := &f
	b.reg.Lock()
	b.watchers = append(b.watchers[:len(b.watchers):len(b.watchers)], w) // a new array: readers hold the old one
	b.reg.Unlock()
	return func() {
		b.reg.Lock()
		defer b.reg.Unlock()
		var rest []*func(Event)
		for _, o := range b.watchers {
			if o != w {
				rest = append(rest, o)
			}
		}
		b.watchers = rest
	}
}

// tell hands ev to the hooks, the log and the watchers.
func (b *Bus) tell(ev Event) {
	h := &b.opts.Hooks
	switch ev.Kind {
	case NodeUp:
		b.log.Info("node up", "peer", ev.Node.Name, "id", ev.Node.ID.Short())
		if h.NodeUp != nil {
			h.NodeUp(ev.Node)
		}
	case NodeDown:
		b.log.Info("node down", "peer", ev.Node.Name, "id", ev.Node.ID.Short())
		if h.NodeDown != nil {
			h.NodeDown(ev.Node)
		}
	case NodeDraining:
		b.log.Info("node is about to leave", "peer", ev.Node.Name, "id", ev.Node.ID.Short())
	case Gap:
		b.log.Warn("messages of a node are missing", "peer", ev.Node.Name, "id", ev.Node.ID.Short(), "from", ev.From, "to", ev.To)
		if h.Gap != nil {
			h.Gap(ev.Node, ev.To-ev.From)
		}
	case Frozen:
		b.log.Warn("own beats do not come back, nobody is declared down")
	case Thawed:
		b.log.Info("own beats come back")
	}
	b.reg.RLock()
	ws := b.watchers
	b.reg.RUnlock()
	for _, w := range ws {
		b.guard("watcher", func() { (*w)(ev) })
	}
}
