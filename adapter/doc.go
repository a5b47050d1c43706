// Package adapter is rooms of sockets, on one node or on many: an application
// with connections of its own, of whatever kind, gets rooms and broadcasts
// that span a cluster by implementing [Socket], four small methods.
//
// A [Local] keeps the rooms of one process. A [Cluster] joins those of many by
// a broker.Bus; its Namespace method returns an [Adapter] for each namespace,
// and what is broadcast by one node's Adapter reaches the sockets of all:
//
//	bus, err := broker.Open(ctx, driver, broker.Options{})
//	…
//	chat := adapter.NewCluster(bus, adapter.Options{}).Namespace("/chat")
//	chat.Add(socket, "lobby")
//	chat.Broadcast(adapter.Target{Rooms: []adapter.Room{"lobby"}}, &adapter.Packet{Data: hello})
//
// # Order and delivery
//
// Sockets of this node are served before a call returns, whatever the broker
// does; the other nodes follow by the Bus's promises: what one node sends
// arrives at another in its order and once, or the Bus reports a gap. A socket
// sees what one goroutine sends in that goroutine's order; two senders may be
// seen in a different order by different sockets.
//
// A packet for the room that is one socket's own (named by its SocketID) goes
// only to the node that holds the socket, which the id names. No other socket
// of another node can be a member of that room.
//
// # Answers
//
// Fetch, Count and the Receipt of Deliver ask all nodes that are up, and
// return what came: a node that was silent, refused or went down is named in a
// [PartialError] beside the answers of the others. A node that goes down ends
// the wait for it at once.
//
// Ask goes on to the clients: every socket that is an [Answerer] hands over the
// packet and reports what its client answers. The wait ends when the last of
// them has answered or gone, or its node has gone down, or ctx is done; the
// PartialError counts, node by node, the sockets whose answers are missing.
// Nothing is kept of a question that has ended, and what is answered to it
// late is dropped. Where the Bus reports a gap, answers may be among what is
// missing: only ctx ends the wait for them. While a node can't be reached it can't be told that a
// question has ended: its sockets keep it until they answer or go, or the node
// takes the asker to be down.
//
// # Cost
//
// A broadcast costs one call of Deliver for each receiving socket, without an
// allocation, and one message on the Bus, which every other node reads. A
// socket must not block in Deliver: it queues, or drops, or disconnects.
//
// Package adaptertest holds other implementations to this contract.
package adapter
