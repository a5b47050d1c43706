// Package websocket carries frames over WebSockets (RFC 6455): an [Acceptor]
// turns upgrade requests into [Conn]s, which are transport.Conns.
//
// Reading is left to gws; writing is done here. Every Conn has one bounded
// queue for all that goes out, the answers to pings and close frames
// included, and a few workers serve the queues of all Conns: what has
// gathered in a queue leaves in one write. A Conn whose client is slow gets a
// goroutine of its own for as long as that lasts, so that it holds up nobody
// else. One that is idle costs no buffer and, on Linux and unless it is encrypted
// here, no goroutine: after a second or two of silence its reading goroutine
// ends, until there is something to read.
package websocket

import (
	"log/slog"
	"time"
)

// Options tune an Acceptor. The zero value is ready for use.
type Options struct {
	// MaxFrame is the largest message accepted from a client, in bytes;
	// larger ones end the connection with status 1009, or 1011 if they are
	// so only when inflated. A client can make the server allocate this much
	// by announcing it.
	// Default: 1e6, the maxHttpBufferSize of Socket.IO.
	MaxFrame int

	// MaxQueue is how many bytes may wait for one client: a Send that finds
	// this many queued fails with transport.ErrSlow and cuts the client.
	// Each Send counts 64 bytes more than its frames, for what it costs to
	// keep. The operating system buffers up to 512 KiB beyond it.
	// Default: 1 MiB.
	MaxQueue int

	// VolatileQueue is the number of queued bytes above which volatile
	// frames are dropped. Default: 64 KiB.
	VolatileQueue int

	// WriteTimeout is how long a client may leave a full socket untouched
	// before it is cut with transport.ErrSlow. Default: 10s.
	WriteTimeout time.Duration

	// Linger is how long frames wait for others that could leave in the same
	// write, while there is something to write to 64 clients or more, as
	// after a broadcast to them: this long at least and, where it takes longer
	// than that to write to all of them, as long as that takes, up to four
	// times this long. With fewer clients every frame leaves at once.
	// Default: 1ms. Negative: never.
	Linger time.Duration

	// CloseTimeout bounds what Close does after it returned: writing what is
	// queued, and then waiting for the client's close frame. Default: 5s.
	CloseTimeout time.Duration

	// Deflate, unless nil, agrees to permessage-deflate (RFC 7692) with
	// clients that offer it, without context takeover.
	Deflate *Deflate

	Logger *slog.Logger // hears of panics of Receivers. Default: slog.Default().
	Hooks  Hooks        // observe; a nil field is skipped.
}

// Deflate tunes the compression of messages. The zero value is ready for use.
// What is sent is compressed once per transport.Frames, for all Conns.
type Deflate struct {
	Threshold int // bytes from which a message is compressed. Default: 1024.
	Level     int // of compress/flate, from 1 to 9. Default: 1, the fastest.

	// PoolSize is how many messages can be inflated at the same time; each
	// takes about half a megabyte, from New on. It is rounded up to a power
	// of two. Default: 4.
	PoolSize int
}

// Hooks are called on the goroutine that does the work and must not block.
type Hooks struct {
	// Written is called after each write to a socket with the number of
	// frames that it completed and of bytes. Frames over calls is what
	// coalescing saves.
	Written func(frames, bytes int)

	// Blocked is called with 1 when a client's socket is full and with -1
	// when that is over: the sum is the number of clients that are behind.
	// It is not known of connections over TLS.
	Blocked func(change int)

	// Slow is called when a client is cut for being slow.
	Slow func()

	// Dropped is called for each volatile Frames that was not queued.
	Dropped func()

	// Violated is called when a connection ends because its client broke
	// the protocol or exceeded MaxFrame; err is what Closed is told.
	Violated func(err error)

	// Panicked is called for each panic that was recovered, be it in the
	// reading of a hostile frame or in a Receiver.
	Panicked func()
}

func (o Options) withDefaults() Options {
	if o.MaxFrame <= 0 {
		o.MaxFrame = 1e6
	}
	if o.MaxQueue <= 0 {
		o.MaxQueue = 1 << 20
	}
	if o.VolatileQueue <= 0 {
		o.VolatileQueue = 64 << 10
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 10 * time.Second
	}
	if o.Linger == 0 {
		o.Linger = time.Millisecond
	}
	if o.CloseTimeout <= 0 {
		o.CloseTimeout = 5 * time.Second
	}
	if o.Deflate != nil {
		d := *o.Deflate
		if d.Threshold <= 0 {
			d.Threshold = 1024
		}
		if d.Level <= 0 {
			d.Level = 1
		}
		if d.PoolSize <= 0 {
			d.PoolSize = 4
		}
		o.Deflate = &d
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	h := &o.Hooks
	if h.Written == nil {
		h.Written = func(int, int) {}
	}
	if h.Blocked == nil {
		h.Blocked = func(int) {}
	}
	if h.Slow == nil {
		h.Slow = func() {}
	}
	if h.Dropped == nil {
		h.Dropped = func() {}
	}
	if h.Violated == nil {
		h.Violated = func(error) {}
	}
	if h.Panicked == nil {
		h.Panicked = func() {}
	}
	return o
}
