// Package engineio speaks Engine.IO with clients, protocol 4 and, if
// Options.AllowEIO3 is set, protocol 3: it opens sessions over HTTP
// long-polling or WebSocket, keeps them alive with heartbeats, moves them from
// polling to WebSocket, and carries messages both ways in order. Sessions of
// both protocols hear and are sent the same frames.
//
// A Server is an http.Handler that answers whatever its path; the path is the
// business of the mux it is mounted in, or of [Server.Handler]:
//
//	srv := engineio.New(engineio.Options{}, func(s *engineio.Session) engineio.Receiver {
//		return &echo{s}
//	})
//	http.Handle("/engine.io/", srv)
//
// Behaviour follows the Engine.IO protocol, revision 4, and where that is
// silent, the Node server (engine.io 6.6). It differs on purpose in these
// points:
//
//   - Every error of an upgrade request is told before the 101, never as HTTP
//     text inside an opened WebSocket.
//   - Completing an upgrade does not stop a running pong timeout, so that a
//     client that vanishes in that moment is noticed.
//   - What is queued for a client has a bound; beyond it the client is cut.
//   - A close packet never shares a payload with messages.
//   - A close packet on a WebSocket ends the session, as it does by polling.
//   - A payload that cannot be decoded, or holds a heartbeat in the wrong
//     direction, is answered with 400.
//   - With AllowEIO3, EIO has to be 3, 4 or absent. Node takes any other value
//     for 3.
//   - JSONP is for protocol 3 alone: no client of protocol 4 has it, and it
//     lets pages of every origin read.
//   - The cookie is set with the 101 as well, where that is the first response.
//
// # Several nodes
//
// With Options.Peers, which package peers implements over a broker.Bus, the
// requests of a client may come to any node of a cluster. The ID of a session
// begins with the name of the node that has it, the owner; a node that gets a
// request for it, the edge, asks that one alone. All that is HTTP (limits, CORS,
// compression) is the edge's, and what a client sees is what it would see of one
// node, the errors included. A POST is answered "ok" when the owner has taken it,
// so that the order holds over any edges.
//
// The WebSocket of an upgrade may be at an edge as well. If the application has
// not heard of the session yet, for which Options.UpgradeHold gives it a moment,
// the session moves there as a whole. Otherwise the WebSocket is a pipe: its
// frames go over both nodes, at most 256 KiB of them unconfirmed each way, and
// what is sent to many clients of one edge goes there once. A session that began
// by WebSocket never concerns another node.
//
// If the owner goes down, or the two cannot hear each other any more, the edge
// answers the polls that wait, and those that come, with 400, and ends its
// WebSockets with status 1001, each within a second; the owner ends sessions that
// were using the edge. Clients connect again then, and what they miss is a matter
// of recovery. What an edge was given as the answer of a poll and did not pass on,
// as it crashed, is lost to that session; if a balancer repeats the poll at
// another node, its client does not learn of it.
//
// # What Node's server has and this one has not
//
//   - WebTransport is not supported, as Go has no HTTP/3 server in its standard
//     library: the transport is unknown (code 0), and never advertised.
//   - wsEngine: there is one implementation of WebSockets.
//   - destroyUpgrade, destroyUpgradeTimeout: net/http leaves no upgrade request
//     without an answer.
//   - use(middleware), and the events headers and initial_headers: wrap the
//     Server in http.Handlers. They see upgrade requests too, and the headers
//     that they set go out with polls and with the 101. They answer what they
//     refuse, so that there is no MIDDLEWARE_FAILURE.
//   - perMessageDeflate takes a threshold and a level. Contexts are never taken
//     over and windows have 15 bits, so that a message is compressed once for
//     all clients; one that asks for a smaller window goes without. A message
//     that inflates beyond MaxPayload ends the connection with status 1011.
//   - Events of sessions are the methods of a Receiver and Hooks: connection is
//     Opened, connection_error ConnectionError, upgrading, upgrade, heartbeat
//     and close bear their names. For packet, packetCreate, flush and drain
//     there are the counts that the transports' Hooks are given.
//
// # Locks
//
// From the outermost: Server.mu, then Session.mu, then those inside a hold or a
// transport's Conn, pipes included, then peering.mu. Conns call back on goroutines of their own and without
// their locks, so that a Session calls Send, Close and Abort under its own;
// nothing calls an application (accept, Receiver, Options.Allow,
// Options.NewID) under any of them. Only the transports' hooks may be called
// while a Session's lock is held.
package engineio
