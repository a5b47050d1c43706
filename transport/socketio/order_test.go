package socketio_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// What one goroutine of one node does reaches the clients of all nodes in its
// order.
func TestProgramOrderOfNodes(t *testing.T) {
	const rounds = 50
	_, urls, _ := serveNodes(t, 2, socketio.Options{}, func(io *socketio.Server) {
		n := io.Of("/")
		socketio.On(n, "go", func(ctx context.Context, s *socketio.Socket, other string) error {
			for i := range rounds {
				n.Emit("all", i)
				n.To(other).Emit("one", i)
				s.Emit("me", i)
			}
			// A join is in time for the next broadcast, on every node.
			for i := range rounds {
				s.Join("room")
				n.To(other).SocketsJoin("room")
				n.To("room").Emit("in", i)
				s.Leave("room")
				n.To(other).SocketsLeave("room")
				n.To("room").Emit("out", i)
			}
			n.Emit("bye")
			return n.To(other).DisconnectSockets(false)
		})
	})
	here, there := socketiotest.Dial(t, urls[0]), socketiotest.Dial(t, urls[1])
	here.Join("")
	here.Send(`421["go","` + there.Join("") + `"]`)
	for i := range rounds {
		here.Want(fmt.Sprintf(`42["all",%d]`, i), fmt.Sprintf(`42["me",%d]`, i))
		there.Want(fmt.Sprintf(`42["all",%d]`, i), fmt.Sprintf(`42["one",%d]`, i))
	}
	for i := range rounds {
		here.Want(fmt.Sprintf(`42["in",%d]`, i))
		there.Want(fmt.Sprintf(`42["in",%d]`, i))
	}
	here.Want(`42["bye"]`, `431[]`)
	there.Want(`42["bye"]`, `41`)
}

// An emit and the disconnection that follows it come in that order, whoever
// does them.
func TestEmitThenDisconnect(t *testing.T) {
	ios, urls, _ := serveNodes(t, 2, socketio.Options{}, nil)
	for _, close := range []bool{false, true} {
		var clients []*socketiotest.Client
		for _, url := range urls {
			c := socketiotest.Dial(t, url)
			c.Join("")
			clients = append(clients, c)
		}
		n := ios[0].Of("/")
		n.Emit("last words")
		n.To().DisconnectSockets(close)
		for _, c := range clients {
			c.Want(`42["last words"]`, `41`)
			if close {
				c.WantClosed()
			}
		}
	}
}

// An acknowledgement comes behind what was emitted before it, and a broadcast
// that asks for one is in order with those that do not.
func TestAckOrder(t *testing.T) {
	ios, urls, _ := serveNodes(t, 2, socketio.Options{}, func(io *socketio.Server) {
		n := io.Of("/")
		n.Handle("go", func(_ context.Context, s *socketio.Socket, e *socketio.Event) error {
			s.Emit("first")
			n.Emit("second")
			e.Ack("third")
			return s.Emit("fourth")
		})
	})
	c, there := socketiotest.Dial(t, urls[0]), socketiotest.Dial(t, urls[1])
	c.Join("")
	there.Join("")
	for range 20 {
		c.Send(`421["go"]`)
		c.Want(`42["first"]`, `42["second"]`, `431["third"]`, `42["fourth"]`)
		there.Want(`42["second"]`)

		n := ios[0].Of("/")
		done := make(chan error, 1)
		go func() {
			n.Emit("before")
			_, err := n.EmitWithAck(t.Context(), "ask")
			n.Emit("after")
			done <- err
		}()
		for _, x := range []*socketiotest.Client{c, there} {
			x.Want(`42["before"]`)
			x.Send("43" + ackTo(t, x, "42", `["ask"]`) + `[]`)
		}
		for _, x := range []*socketiotest.Client{c, there} {
			x.Want(`42["after"]`)
		}
		if err := within(t, done, "end"); err != nil {
			t.Fatal(err)
		}
	}
}
