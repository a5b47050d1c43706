package socketio_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// A client hears of the end of its sockets in the order in which they joined,
// as from Node's server.
func TestDisconnectCloseOrder(t *testing.T) {
	const n = 8
	_, url := serve(t, socketio.Options{}, func(io *socketio.Server) {
		for i := range n {
			io.Of(fmt.Sprint("/", i)).Handle("bye", func(_ context.Context, s *socketio.Socket, _ *socketio.Event) error {
				s.Disconnect(true)
				return nil
			})
		}
	})
	c := socketiotest.Dial(t, url)
	for i := range n {
		c.Join(fmt.Sprintf("/%d,", i))
	}
	c.Send(`42/5,["bye"]`)
	for i := range n {
		c.Want(fmt.Sprintf("41/%d,", i))
	}
	c.WantClosed()
}
