package socketio_test

import (
	"strings"
	"testing"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/adapter/adaptertest"
	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// A socket whose description can't be read is named, and hides no other.
func TestFetchSocketsOfAnotherKind(t *testing.T) {
	ios, urls, buses := serveNodes(t, 2, socketio.Options{}, nil)
	c := socketiotest.Dial(t, urls[0])
	id := c.Join("")
	// The second node goes on as one that is no Socket.IO server.
	if err := ios[1].Close(); err != nil {
		t.Fatal(err)
	}
	other := adapter.NewCluster(buses[1], adapter.Options{}).Namespace("/")
	stranger := adaptertest.NewSocket(other)
	other.Add(stranger)

	sockets, err := ios[0].Of("/").FetchSockets(t.Context())
	if len(sockets) != 1 || sockets[0].ID != id || err == nil || !strings.Contains(err.Error(), string(stranger.ID())) {
		t.Errorf("got %d sockets, %v; want one, and an error that names the other", len(sockets), err)
	}
}
