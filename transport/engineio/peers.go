package engineio

// Peers joins Servers of several nodes, so that a balancer need not send all
// requests of a client to one of them: a Server answers a request that names a
// session of another node by asking that node. Package peers implements it over
// a broker.Bus. All methods may be called concurrently, and none of them waits
// for another node.
type Peers interface {
	// Self names this node, in 1 to 32 letters, digits, "-" and "_", as many as
	// all nodes' names have. The IDs of sessions begin with it. A node that
	// starts anew bears a new name.
	Self() string

	// Up reports whether a node can be reached, as far as is known.
	Up(node string) bool

	// Any reports whether some other node can be reached.
	Any() bool

	// Send sends a message to a node, which hears it once, in the order of the
	// calls, or is told that something is lost. A message is as long as
	// Options.MaxPayload or MaxQueue and 1 KiB more; one that is too long, or
	// for a node that cannot be reached, is an error. body is not kept.
	Send(node string, body []byte) error

	// Listen has h told what the other nodes send, until stop is called. When
	// stop returns, nothing of h runs. It is called once.
	Listen(h PeerHandler) (stop func())
}

// A PeerHandler hears of other nodes. What it is told of one node comes one
// call at a time and in order; of different nodes maybe at the same time. Its
// functions do not block.
type PeerHandler struct {
	// Message is called with each message of a node. It owns body.
	Message func(from string, body []byte)

	// Lost says that messages of a node, or to it, may be missing, as when it
	// went down or this node was cut off from the others: whatever was under
	// way with it is given up.
	Lost func(node string)
}
