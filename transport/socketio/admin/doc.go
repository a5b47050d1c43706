// Package admin lets Socket.IO's Admin UI watch and steer a server: its files
// (the npm package @socket.io/admin-ui, folder ui/dist, or
// https://admin.socket.io) are opened in a browser, and connect to a namespace
// that [Instrument] adds.
//
//	io := socketio.New(socketio.Options{})
//	a, err := admin.Instrument(io, admin.Options{
//		Username:     "admin",
//		PasswordHash: "$2y$10$…", // as htpasswd -nBC 10 "" prints it
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer a.Close()
//
// Anyone who may log in can act in the name of every user, unless the
// administrators are ReadOnly.
//
// Where the UI comes from another origin, long-polling wants engineio.CORS for
// it, with credentials; the UI's option "WebSocket only" does without.
//
// # Many nodes
//
// Instrument every node, in the same way: each tells the administrators of all
// nodes about itself. What an administrator does reaches all nodes. A login is
// known to the node that it was made at; a browser that comes back to another
// has to log in again. Of a dynamic namespace that does not exist on the node
// that the administrator is connected to, the sockets are listed only as they
// come, and cannot be steered.
//
// # Cost
//
// Every two seconds each node sends its numbers to the administrators. With
// Options.Development it also sends every socket's coming and going, every
// change of its rooms, and a copy of every event to and from a client, which
// is what it says: for development. On a node that is alone nothing is sent
// while no administrator is connected; one of many cannot know, and sends to
// the others whether they have any or not.
//
// # What it shows
//
// The protocol is that of @socket.io/admin-ui 0.5. Unlike Node's, it keeps the
// headers Cookie, Authorization and Proxy-Authorization of clients to itself, and
// names clients by a hash of their session's id instead of a part of it.
package admin
