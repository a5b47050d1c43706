// Package transporttest holds implementations of transport.Conn to its
// contract. The tests of a transport call [Run] with a way to open a Conn and
// the client at its other end:
//
//	func TestContract(t *testing.T) {
//		transporttest.Run(t, func(t *testing.T, maxQueue int, r transport.Receiver) (transport.Conn, transporttest.Client) {
//			…
//		})
//	}
//
// All frames of the suite are Engine.IO packets of the type message: text
// frames begin with the digit 4 and hold no separator (0x1e).
package transporttest

import (
	"testing"

	"github.com/carillonhq/carillon/transport"
)

// A Client is the far end of a Conn: it speaks the transport's protocol as a
// client would, and shows what is above it. Receive is called from one
// goroutine at a time, and so is Send.
type Client interface {
	// Send sends one frame and returns once it is on its way.
	Send(binary bool, data []byte) error

	// Receive waits for the next frame; what the transport itself sends (a
	// pong, a noop that ends a poll) is not shown. It returns io.EOF after
	// an orderly end by the Conn, in the words of the transport: a close
	// frame with status 1000, a poll answered with the packet "close". Any
	// other end is another error.
	//
	// A Client reads nothing ahead: as long as Receive is not called, the
	// client takes no frames.
	Receive() (binary bool, data []byte, err error)

	// Close ends the connection the way that a client calls orderly.
	Close() error
}

// Open returns a new Conn, started with r, and its Client. maxQueue, unless
// it is 0, is the bound of the Conn's queue in bytes. At the end of t, which
// is not the test that called Run, nothing of all this may be left.
type Open func(t *testing.T, maxQueue int, r transport.Receiver) (transport.Conn, Client)

// Run checks the Conns that open returns, and what they tell their Receivers.
func Run(t *testing.T, open Open) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, open Open)
	}{
		{"SendInOrder", sendInOrder},
		{"ReceiveInOrder", receiveInOrder},
		{"Sizes", sizes},
		{"RunsStayWhole", runsStayWhole},
		{"SharedFrames", sharedFrames},
		{"EchoFromFrame", echoFromFrame},
		{"BlockedReceiver", blockedReceiver},
		{"Volatile", volatile},
		{"VolatileIsDropped", volatileIsDropped},
		{"Buffered", buffered},
		{"Slow", slow},
		{"CloseFlushes", closeFlushes},
		{"CloseFromFrame", closeFromFrame},
		{"CloseAgain", closeAgain},
		{"Abort", abort},
		{"AbortAfterClose", abortAfterClose},
		{"ClientCloses", clientCloses},
		{"FrameRefused", frameRefused},
		{"Together", together},
		{"NothingLeft", nothingLeft},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open) })
	}
}
