// Package socketio is a Socket.IO server: unmodified Socket.IO clients (protocol
// v5: 3.x and 4.x) connect to it, over WebSocket or HTTP long-polling.
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
// need not be decoded: a [Raw] is JSON, and the binary that belongs to it,
// untouched. [Binary], and []byte as an argument of its own, travel as binary
// attachments.
//
// What a handler returns is the acknowledgement if the client asked for one:
// nil acknowledges, an [*Error] is told to the client as {ok: false, error:
// {code, message}}, and of any other error the client learns only that there
// was one.
//
// # Order
//
// The events of one socket are handled one at a time, in the client's order.
// What one goroutine sends reaches each client in its order, whatever it is: a
// broadcast, an emit, an acknowledgement, a disconnection. A socket that has
// joined a room gets the next broadcast to it. What two goroutines send at the
// same time may come in either order, and in a different one at different
// clients.
//
// # Guarantees
//
// An event is delivered at most once. It is lost if the connection ends before
// the client has it, or if it is volatile and the client is busy. A client
// that does not take what is sent to it is cut, not waited for, at a bound of
// queued bytes: one slow client holds up no other, and nothing is dropped in
// silence.
//
// # Many nodes
//
// With Options.Adapter set to the Namespace method of an adapter.Cluster, rooms
// and broadcasts span all nodes. Long-polling clients need a balancer that
// sends all requests of one session to the same node.
package socketio
