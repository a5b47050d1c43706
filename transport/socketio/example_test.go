package socketio_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"regexp"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport/socketio"
)

func Example() {
	io := socketio.New(socketio.Options{})
	chat := io.Of("/")

	type Line struct {
		Room string       `json:"room"`
		Data socketio.Raw `json:"data"` // passed on, whatever it is
	}
	chat.OnConnect(func(_ context.Context, s *socketio.Socket) {
		s.Join("lobby")
	})
	socketio.On(chat, "line", func(_ context.Context, s *socketio.Socket, l Line) error {
		return s.To(l.Room).Emit("line", l)
	})
	socketio.Reply(chat, "count", func(ctx context.Context, _ *socketio.Socket, room string) (int, error) {
		return chat.To(room).Count(ctx)
	})

	http.Handle("/socket.io/", io)
	log.Fatal(http.ListenAndServe(":3000", nil))
}

func ExampleEmitWithAcks() {
	io := socketio.New(socketio.Options{})
	defer io.Close()
	chat := io.Of("/")

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	votes, err := socketio.EmitWithAcks[int](ctx, chat.To("lobby"), "vote", "pizza or pasta?")
	if partial, ok := errors.AsType[*adapter.PartialError](err); ok {
		for _, m := range partial.Missing {
			fmt.Println(m.Sockets, "votes missing of node", m.Node, m.Err)
		}
	}
	fmt.Println(len(votes), "votes")
	// Output: 0 votes
}

func ExampleServer_OfRegexp() {
	io := socketio.New(socketio.Options{CleanupEmptyNamespaces: true})
	defer io.Close()

	games := io.OfRegexp(regexp.MustCompile(`^/game-\d+$`))
	socketio.On(games, "move", func(_ context.Context, s *socketio.Socket, move socketio.Raw) error {
		return s.Namespace().Emit("move", move) // to this game's players
	})
	games.OnConnect(func(_ context.Context, s *socketio.Socket) {
		fmt.Println("a player of", s.Namespace().Name())
	})
}
