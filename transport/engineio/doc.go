// Package engineio speaks Engine.IO v4 with clients: it opens sessions over
// HTTP long-polling or WebSocket, keeps them alive with heartbeats, moves them
// from polling to WebSocket, and carries messages both ways in order.
//
// A Server is an http.Handler; the path is the business of the mux it is
// mounted in:
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
//   - A payload that cannot be decoded is answered with 400.
//
// # Locks
//
// From the outermost: Server.mu, then Session.mu, then those inside a
// transport's Conn. Conns call back on goroutines of their own and without
// their locks, so that a Session calls Send, Close and Abort under its own;
// nothing calls an application (accept, Receiver, Options.Allow,
// Options.NewID) under any of them. Only the transports' hooks may be called
// while a Session's lock is held.
package engineio
