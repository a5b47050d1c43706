package socketio_test

import (
	"context"
	"log"
	"net/http"

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
