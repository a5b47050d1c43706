package adapter

import "context"

// An Adapter is the rooms of one namespace: it knows which sockets are in
// which rooms and delivers packets to them, in this process and, if it is
// part of a cluster, on all other nodes. All methods may be called
// concurrently. What one goroutine does takes effect in its order: a packet
// broadcast before another arrives before it, and a socket that joined gets
// the next broadcast.
//
// What asks other nodes (Ask, Fetch, Count, AllRooms, AskNodes, Receipt.Wait)
// returns all that came before ctx was done; if a node is missing, the error is
// a *PartialError that names it, and the result holds the answers of the
// others.
type Adapter interface {
	// NewID returns a fresh SocketID that names this node.
	NewID() SocketID

	// Add takes in a socket, as a member of rooms and of its own room.
	Add(s Socket, rooms ...Room)

	// Remove takes a socket out of all its rooms and forgets it.
	Remove(id SocketID)

	// Join and Leave change the rooms of a socket of this node. An unknown
	// id is ignored: its socket has gone.
	Join(id SocketID, rooms ...Room)
	Leave(id SocketID, rooms ...Room)

	// Rooms returns the rooms of a socket of this node, its own among them,
	// sorted; nil for an unknown id.
	Rooms(id SocketID) []Room

	// Broadcast hands p to every socket that t selects: to those of this node
	// before it returns, whatever the broker does, to those of other nodes in
	// the order of this node's calls. An error says why other nodes may not
	// get it; local sockets have got it all the same.
	Broadcast(t Target, p *Packet) error

	// Deliver is Broadcast with a Receipt.
	Deliver(t Target, p *Packet) *Receipt

	// Ask is Broadcast of a packet that wants an answer of every socket it is
	// handed to, on all nodes; only a Socket that is an Answerer is asked. It
	// returns when each of them has answered or gone and each node that owes
	// something is down, or when ctx is done: give it one that ends. The
	// answers come in no order. If any is missing, the error is or wraps a
	// *PartialError. With no socket selected it returns without waiting.
	Ask(ctx context.Context, t Target, p *Packet) ([]Answer, error)

	// Fetch describes the selected sockets of all nodes. Each node's come in
	// pages: of a node that is missing from some page on, those before are in
	// the result.
	Fetch(ctx context.Context, t Target) ([]Info, error)

	// Count returns the number of selected sockets on all nodes.
	Count(ctx context.Context, t Target) (int, error)

	// AllRooms returns the rooms that have members, on all nodes, and how many.
	// A socket's own room is left out, unless others are in it, too.
	AllRooms(ctx context.Context) (map[Room]int, error)

	// JoinAll, LeaveAll and DisconnectAll act on the selected sockets of all
	// nodes, each in the sending node's order with its broadcasts.
	JoinAll(t Target, rooms ...Room) error
	LeaveAll(t Target, rooms ...Room) error
	DisconnectAll(t Target, close bool) error

	// TellNodes hands body, which is what the application likes, to the
	// NodeHandler of this namespace on every other node, in order with this
	// node's broadcasts. A node without one passes over it.
	TellNodes(body []byte) error

	// AskNodes is TellNodes that returns when each of the other nodes has
	// answered or gone, or when ctx is done: give it one that ends. A node
	// without a NodeHandler, or without the namespace, is not asked. The
	// answers come in no order. If a node did not answer in time, the
	// Missing.Err is ErrSilent.
	AskNodes(ctx context.Context, body []byte) ([]NodeAnswer, error)

	// HandleNodes sets what other nodes' TellNodes and AskNodes call on this
	// one, instead of the handler before.
	HandleNodes(h NodeHandler)

	// Close forgets all sockets, without disconnecting them. Afterwards
	// nothing is delivered, and what can fail fails with ErrClosed.
	Close() error
}

// A Target selects sockets of a namespace: the members of any of Rooms, or
// all sockets where Rooms is empty, but none that is a member of any of
// Except. Each is selected once. The zero Target selects all.
type Target struct {
	Rooms  []Room
	Except []Room
	Local  bool // only sockets of this node
}

// An Info describes a socket.
type Info struct {
	ID    SocketID
	Node  string // name of the node that holds it; empty without a cluster
	Rooms []Room // sorted, its own room among them
	Data  []byte // what Info of the Socket returned
}

// A Receipt tells to how many sockets a packet was handed.
type Receipt struct {
	local int
	wait  func(ctx context.Context) (int, error) // nil: no other node was asked
	err   error
}

// Wait returns the number of sockets, on all nodes, that the packet was
// handed to, once all nodes have answered or ctx is done. It may be called
// once.
func (r *Receipt) Wait(ctx context.Context) (int, error) {
	if r.wait == nil {
		return r.local, r.err
	}
	n, err := r.wait(ctx)
	return r.local + n, err
}
