package socketio_test

import (
	"context"
	"errors"
	"testing"

	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// Clients of Socket.IO 2.x: the packets are as before, but for CONNECT and
// CONNECT_ERROR. (How they are framed is the business of package engineio.)
func TestV3Clients(t *testing.T) {
	io, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
		io.Pretend(3)
		for _, name := range []string{"/", "/chat"} {
			n := io.Of(name)
			n.OnConnect(func(_ context.Context, s *socketio.Socket) {
				var auth map[string]any
				s.Handshake().Auth.Decode(&auth)
				s.Emit("hello", s.ID(), auth)
			})
			n.Handle("echo", func(_ context.Context, _ *socketio.Socket, e *socketio.Event) error {
				return e.Ack(e.Args[0])
			})
		}
		io.Of("/refuse").Use(func(_ context.Context, s *socketio.Socket) error {
			var auth struct{ How string }
			s.Handshake().Auth.Decode(&auth)
			switch auth.How {
			case "data":
				return &socketio.Error{Message: "no", Data: map[string]int{"wait": 3}}
			case "secret":
				return errors.New("secret")
			}
			return &socketio.Error{Message: "not you"}
		})
	})
	c := socketiotest.Dial(t, url)
	c.Want("40") // without asking, and without payload
	hello := c.Read()
	sid := hello[len(`42["hello","`) : len(`42["hello","`)+20]
	if want := `42["hello","` + sid + `",null]`; hello != want {
		t.Errorf("got %q, want %q", hello, want)
	}
	if io.Of("/").Socket(sid) == nil {
		t.Errorf("no socket has the id %q", sid)
	}
	c.Send("40/chat?token=a%20b&x=1&x=2,")
	c.Want("40/chat,", `42/chat,["hello","/chat#`+sid+`",{"token":"a b","x":["1","2"]}]`)
	c.Send(`42/chat,1["echo","x"]`)
	c.Want(`43/chat,1["x"]`)
	io.Of("/chat").To("/chat#" + sid).Emit("direct")
	c.Want(`42/chat,["direct"]`)

	c.Send("40/nowhere?a=b,")
	c.Want(`44/nowhere,"Invalid namespace"`)
	c.Send("40/refuse,")
	c.Want(`44/refuse,"not you"`)
	c.Send("40/refuse?how=data,")
	c.Want(`44/refuse,{"wait":3}`)
	c.Send("41/chat,")
	c.Send("40/chat,")
	c.Want("40/chat,", `42/chat,["hello","/chat#`+sid+`",{}]`)
	c.Send("40") // it is in "/" already
	c.WantClosed()
}

// A direct message finds such a client on whichever node it is.
func TestV3ClientsOfNodes(t *testing.T) {
	ios, urls, _ := serveNodes(t, 2, socketio.Options{}, func(io *socketio.Server) {
		io.Pretend(3)
		io.Of("/chat")
	})
	c := socketiotest.Dial(t, urls[1])
	c.Want("40")
	c.Send("40/chat,")
	c.Want("40/chat,")
	for _, name := range []string{"/", "/chat"} {
		n := ios[0].Of(name)
		sockets, err := n.FetchSockets(t.Context())
		if err != nil || len(sockets) != 1 {
			t.Fatalf("got %d sockets, %v", len(sockets), err)
		}
		n.To(sockets[0].ID).Emit("direct")
	}
	c.Want(`42["direct"]`, `42/chat,["direct"]`)
}
