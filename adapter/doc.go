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
// The examples are a chat on another WebSocket library, server-sent events
// with net/http alone, a service that publishes and has no sockets, and an
// application that goes on without its broker.
//
// # Sockets, packets and rooms
//
// What a [Packet] holds is the application's: the Adapter never looks into it.
// It is encoded once by who sends it, carried as it is, and made into what
// connections take once on each node, by [Packet.Shared].
//
// A [Target] selects sockets by rooms, and by exceptions. Every socket is also
// in a room of its own, named by its [SocketID]. All devices of a user are a
// room like any other: let each of them join "user:alice", say. Rooms come into
// being with their first member, and go with their last; a [Watcher] tells.
//
// Namespaces know nothing of each other, and cost the other nodes and the
// broker nothing: a node that has not opened one passes over what is said in
// it. Close ends one.
//
// # What there is
//
// On all nodes at a time, or on this one with Target.Local:
//
//	Broadcast, Deliver            hand over a packet; Deliver counts who got it
//	Ask                           the same, and collects what the clients answer
//	Fetch, Count, AllRooms        which sockets there are, how many, in which rooms
//	JoinAll, LeaveAll             change the rooms of sockets
//	DisconnectAll                 ends sockets, behind what was sent to them
//	TellNodes, AskNodes           speak to the other nodes themselves
//
// # Order and delivery
//
// Sockets of this node are served before a call returns, whatever the broker
// does; the other nodes follow by the Bus's promises: what one node sends
// arrives at another in its order and once, or the Bus reports a gap. A socket
// sees what one goroutine sends in that goroutine's order; two senders may be
// seen in a different order by different sockets. No socket gets a packet
// twice.
//
// While the broker is away each node goes on by itself, and what it says to the
// others waits; see package broker for how much, and for how long.
//
// # Who is told
//
// A packet for the room that is one socket's own goes only to the node that
// holds the socket, which the id names, and so does every request that concerns
// that socket. No other socket of another node can be a member of that room.
// What concerns some other rooms goes to all nodes, unless Options.Locate knows
// better: an application that knows on which nodes a user is can say so there.
//
// # Answers
//
// Fetch, Count, AllRooms and the Receipt of Deliver ask all nodes that are up,
// and return what came: a node that was silent, refused or went down is named
// in a [PartialError] beside the answers of the others. A node that closes ends
// the wait for it at once; one that dies, or stands still, after five
// heartbeats. What it answers later is ignored.
//
// Ask goes on to the clients: every socket that is an [Answerer] hands over the
// packet and reports what its client answers. The wait ends when the last of
// them has answered or gone, or its node has gone down, or ctx is done; the
// PartialError counts, node by node, the sockets whose answers are missing.
// Nothing is kept of a question that has ended, and what is answered to it
// late is dropped. Where the Bus reports a gap, answers may be among what is
// missing: only ctx ends the wait for them. While a node can't be reached it
// can't be told that a question has ended: its sockets keep it until they
// answer or go, or the node takes the asker to be down.
//
// AskNodes asks the nodes' [NodeHandler]s in the same way. A node that has none
// is not waited for; one that fails is named with its error.
//
// # What is large
//
// A message between nodes may have 16 MiB, of a broadcast or of a list of rooms
// to join; beyond that other nodes are not told, with broker.ErrTooLarge. The
// answers to Fetch and AllRooms are as long as need be: they come in pages of
// 256 KiB, one of each node at a time, and others' messages between them. What
// Fetch returns is in memory as a whole, though: ask for the sockets of a room
// rather than for all.
//
// # Cost
//
// A broadcast costs one call of Deliver for each receiving socket, without an
// allocation, and one message on the Bus, which every other node reads. A
// socket must not block in Deliver: it queues, or drops, or disconnects. A
// socket takes about 125 bytes here, and 25 more for each room that it is in.
//
// # Logs
//
// An Adapter that is a [Recorder] can keep a [Log] of what it delivers on this
// node, within the bounds of a [Journal], for sockets whose clients are away for
// a moment: Park makes a socket one that nobody counts or finds, but who is in
// its rooms still, and Missed tells what it was sent since a [Position]. Each
// packet then costs about a microsecond more, and two allocations, and those of
// one namespace are delivered one after the other. Package transport/socketio
// does so where its Options say Recovery.
//
// # Versions and mishaps
//
// A node refuses a request that it does not understand, and so is named by who
// asked; what else it does not understand it drops, and counts by
// Hooks.Malformed. So nodes of two versions can live in one cluster during a
// deployment. Clusters that share a broker are kept apart by
// broker.Options.Cluster.
//
// # Tests
//
// Package adaptertest holds other implementations to this contract: Run as to
// what an Adapter does, RunCluster as to what befalls the nodes of a cluster.
// Over broker/memory, within testing/synctest, a test of an application has as
// many nodes as it likes, in one process and in no time.
package adapter
