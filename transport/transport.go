// Package transport is what the two ways to a client have in common: a [Conn]
// carries frames to and from one client, over a WebSocket (package websocket)
// or over HTTP long-polling (package polling). Sessions, upgrades and
// heartbeats are built on it in package engineio.
//
// A frame is one Engine.IO packet: a text frame begins with the digit of its
// type, a binary frame is always a message and carries no digit.
package transport

import "errors"

var (
	// ErrClosed says that the Conn was closed, by us or by the client.
	ErrClosed = errors.New("transport: closed")

	// ErrSlow says that the client did not take its frames fast enough: the
	// queue's bound was reached, or a write ran into its deadline, and the
	// Conn was cut, so that one slow client cannot hold up a room.
	ErrSlow = errors.New("transport: client too slow")

	// ErrTooLarge says that the client sent more than the limit in one frame
	// or one request.
	ErrTooLarge = errors.New("transport: frame exceeds the limit")

	// ErrProtocol says that the client broke the rules of its transport; it
	// is wrapped with what exactly was wrong.
	ErrProtocol = errors.New("transport: protocol violation")
)

// A Conn carries frames to one client, in the order of the calls of Send.
// All methods may be called concurrently and none of them waits for the
// client.
type Conn interface {
	// Send queues f behind all that was sent before. It fails with ErrClosed
	// once the Conn is closing, and with ErrSlow when the queue's bound is
	// reached; that ends the Conn.
	Send(f *Frames) error

	// SendVolatile queues f if the client is taking its frames now, and
	// otherwise drops it; it reports whether f was queued.
	SendVolatile(f *Frames) bool

	// Buffered is the number of bytes queued and not yet handed to the
	// operating system or to a poll.
	Buffered() int

	// Close lets what is queued reach the client, for a bounded time, and
	// then ends the Conn in the way its transport calls orderly. It returns
	// at once; the Receiver's Closed tells the end. Further calls of Close
	// have no effect.
	Close()

	// Abort ends the Conn at once and discards what is queued.
	Abort()
}

// A Receiver hears what a Conn receives. Its methods are called one at a
// time, on a goroutine of the Conn, and may block: the Conn then stops
// reading from its client.
type Receiver interface {
	// Frame is called with each frame in the client's order. The receiver
	// owns data. An error closes the Conn, and is what Closed is told.
	Frame(binary bool, data []byte) error

	// Closed is called exactly once and last. err is ErrClosed after an
	// orderly end by the client, nil after Close or Abort of our own, else
	// what went wrong.
	Closed(err error)
}
