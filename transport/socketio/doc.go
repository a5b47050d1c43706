// Package socketio is a Socket.IO server: unmodified Socket.IO clients (protocol
// v5: 3.x and 4.x) connect to it, over WebSocket or HTTP long-polling, and so
// do clients of 2.x where Engine.IO v3 is allowed.
//
// A [Server] is an http.Handler. Handlers are registered once for a
// [Namespace], not for each socket:
//
//	io := socketio.New(socketio.Options{})
//	chat := io.Of("/")
//
//	type Line struct {
//		Room string `json:"room"`
//		Text string `json:"text"`
//	}
//	chat.OnConnect(func(ctx context.Context, s *socketio.Socket) {
//		s.Join("lobby")
//	})
//	socketio.On(chat, "line", func(ctx context.Context, s *socketio.Socket, l Line) error {
//		return s.To(l.Room).Emit("line", l)
//	})
//	http.Handle("/socket.io/", io)
//
// # Events
//
// [On] and [Reply] decode an event's first argument into a type of yours;
// [Namespace.Handle] gives all arguments as they came. What is only passed on
// need not be decoded: a [Raw] is what the client sent, binary included,
// untouched. [Binary], and []byte as an argument of its own, travel as binary.
//
// What a handler returns is the acknowledgement if the client asked for one:
// nil acknowledges, an [*Error] is told to the client as {ok: false, error:
// {code, message}}, and of any other error the client learns only that there
// was one.
//
// Middlewares stand before: those of Use decide who is let in, those of
// UseEvent which events go on. OnAny and OnAnyOutgoing see every event that
// comes and goes. All of them are told the socket; what is to hold for one
// socket alone is decided there.
//
// # Acknowledgements of clients
//
// [Socket.EmitWithAck] asks one client, [Emitter.EmitWithAck] any choice of
// clients on all nodes, and ctx is the timeout:
//
//	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
//	defer cancel()
//	votes, err := socketio.EmitWithAcks[int](ctx, chat.To("lobby"), "vote", question)
//
// Such a broadcast ends when all have answered. Who disconnects, and the
// clients of a node that goes down, are not waited for. The answers there are
// come in any case; an *adapter.PartialError in the error counts the missing
// ones, node by node, with the reason.
//
// # Namespaces on demand
//
// [Server.Of] makes a namespace; [Server.OfRegexp] and [Server.OfFunc] let
// clients make them, with the middlewares and handlers of the
// [ParentNamespace]. Their names are the clients' choice, so there is a bound
// (Options.MaxNamespaces), and Options.CleanupEmptyNamespaces drops those that
// are empty again.
//
// # Parsers
//
// What travels is JSON and binary attachments, as clients expect by default;
// with Options.Parser it is [MessagePack], or a [Parser] of the application's.
// Handlers do not see which: the types that they decode into and emit are
// those of encoding/json, and its struct tags hold.
//
// # Order
//
// The events of one socket are handled one at a time, in the client's order.
// What one goroutine does reaches each client in its order, whatever it is and
// on whichever node the client is:
//
//   - a broadcast, and an emit after it;
//   - an emit, and a disconnection after it, of one socket or of many;
//   - an emit, and an acknowledgement after it;
//   - a join, and a broadcast to the room after it: the socket gets it. The
//     same holds for SocketsJoin, and for Leave and SocketsLeave.
//
// What two goroutines send at the same time may come in either order, and in a
// different one at different clients.
//
// # Ends
//
// OnDisconnect's functions are told a [Reason]: that the client left or was put
// out of the namespace ([ReasonClient], [ReasonServer]), or why the connection
// ended: "transport close" (by the client), "transport error" (it failed, or
// the client was too slow or broke a rule of the transport), "ping timeout",
// "parse error" (the client sent what is no packet), [ReasonForced] (it sent a
// packet that is out of place: for a namespace that it is not in, say) or
// [ReasonShutdown].
//
// # Guarantees
//
// An event is delivered at most once. It is lost if the connection ends before
// the client has it, unless the client is recovered, or if it is volatile and the
// client is busy. A client
// that does not take what is sent to it is cut, not waited for, at a bound of
// queued bytes: one slow client holds up no other, and nothing is dropped in
// silence.
//
// # Recovery
//
// With Options.Recovery, a client that loses its connection and is back within a
// while (two minutes, by default) goes on where it was: its socket has the same
// id, rooms and data, and the client gets what it missed, each event once and in
// order, as if the connection had been slow. Its handlers see the end of one
// Socket, by OnDisconnect, and then the beginning of another, by OnConnect,
// which says so:
//
//	chat.OnConnect(func(ctx context.Context, s *socketio.Socket) {
//		if !s.Recovered() {
//			s.Join("lobby") // else it is there
//		}
//	})
//
// In between the socket is a member of its rooms still: what is emitted to it,
// who makes it join or leave, and who puts it out, reaches it. Only those who
// count, fetch or ask sockets pass over it. A client that left by itself, or was
// put out, does not get it back.
//
// With the adapters of a Cluster that is so on whatever node the client comes
// back: the socket moves there, and OnDisconnect's functions have returned on the
// node before. While it moves, nobody finds it who counts, fetches or asks
// sockets, and what different nodes send to it alone may change places. What a node
// still keeps when it stops (Server.Drain, Server.Shutdown) another adopts, so that
// a client which is back later is recovered, too: unless no other node is there to
// stay, or has room.
//
// If the node dies, others know its sockets' ids, rooms and data, and the offsets
// that clients have tell how much of what each node said they had: so a client is
// recovered all the same, once the node is known to be dead, and gets what other
// nodes sent, and the dead one to others, each once and in the order of each. What
// the dead node had told nobody is lost: what it emitted to its own sockets alone,
// and the broadcasts, changes of rooms and of data of its last moment (50 ms at
// the most). Where it is not certain what the client missed, for which there are
// more reasons then than else (nodes that were not there or not heard, over a
// dozen of them, or too much that was said), it has its id, rooms and data again,
// but is not Recovered (Socket.Restored).
//
// What it cannot do: an event that asks for an acknowledgement, one that is
// volatile, and one that is not to be kept (Socket.EmitUnkept) is not sent again;
// and an event of the client's that was under way may be lost, unless the client
// repeats it (its option retries). Who can't be recovered is let in anew, and
// Hooks.NotRecovered is told why.
//
// Every event without an acknowledgement, but for EmitUnkept's, has one argument
// more then, the last, which the handlers of clients see as well. What is kept is
// bounded, in bytes, in time and in number, by the fields of [Recovery]. While it
// is on, what happens in a namespace happens one after the other, on this node.
//
// # Many nodes
//
// With Options.Adapter set to the Namespace method of an adapter.Cluster, rooms
// and broadcasts span all nodes: what an [Emitter] chooses is chosen on all of
// them. [Emitter.FetchSockets] describes sockets with their rooms, handshake and
// data, [Namespace.AllRooms] counts rooms; what concerns one socket's id goes to
// its node alone. Where a node does not answer, the result holds what the
// others said, and an *adapter.PartialError names it.
//
// Servers speak to each other with [Namespace.ServerSideEmit] and
// [Namespace.ServerSideEmitWithAck], which [OnServer] and [ReplyServer] hear on
// every other node:
//
//	socketio.ReplyServer(chat, "load", func(ctx context.Context, node string, _ any) (float64, error) {
//		return load(), nil
//	})
//	answers, err := chat.ServerSideEmitWithAck(ctx, "load")
//
// A service that only publishes makes a Server, too, and mounts it nowhere; it
// waits for adapter.Cluster.AwaitNodes before it emits.
//
// A [Tracer] makes a client's event and what follows from it, on all nodes, one
// distributed trace, where handlers emit by [Emitter.Context].
//
// Requests of one client may come to any node where Options.Engine has Peers;
// that takes one line, with package peers:
//
//	opts.Engine.Peers, opts.Engine.UpgradeHold = peers.Over(bus), 500*time.Millisecond
//
// Otherwise clients that use long-polling need a balancer that sends all requests
// of one session to the same node.
package socketio
