package admin_test

import (
	"regexp"
	"sync/atomic"
	"testing"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/admin"
)

// A namespace that clients make, leave and make again is watched each time.
func TestDynamicNamespaces(t *testing.T) {
	_, io, url := serve(t, socketio.Options{CleanupEmptyNamespaces: true}, admin.Options{NoAuth: true, Development: true},
		func(io *socketio.Server) { io.OfRegexp(regexp.MustCompile(`^/room-\d+$`)) })
	u := join(t, url, "/admin,")
	u.next("all_sockets")
	for range 2 {
		c := join(t, url, "/room-1,")
		u.want("room_joined", "/room-1", c.id, c.id)
		if got := u.connected("/room-1"); got.ID != c.id {
			t.Errorf("got %+v, want %s", got, c.id)
		}
		c.Send(`42/room-1,["x"]`)
		u.want("event_received", "/room-1", c.id, `["x"]`)
		c.Send("41/room-1,")
		u.want("socket_disconnected", "/room-1", c.id, "client namespace disconnect")
		for io.Lookup("/room-1") != nil {
			u.next("server_stats")
		}
	}
}

// broadcasts counts those of a namespace.
type broadcasts struct {
	*adapter.Local
	n atomic.Int64
}

func (b *broadcasts) Broadcast(t adapter.Target, p *adapter.Packet) error {
	b.n.Add(1)
	return b.Local.Broadcast(t, p)
}

// On a node that is alone nothing is sent while no administrator is there.
func TestNobodyWatches(t *testing.T) {
	told := &broadcasts{Local: adapter.NewLocal()}
	_, _, url := serve(t, socketio.Options{Adapter: func(namespace string) adapter.Adapter {
		if namespace == "/admin" {
			return told
		}
		return adapter.NewLocal()
	}}, admin.Options{NoAuth: true, Development: true}, nil)
	c := join(t, url, "")
	c.Send(`42["x"]`)
	c.Send("41")
	c.Join("")
	c.Leave()
	if n := told.n.Load(); n != 0 {
		t.Errorf("%d broadcasts to nobody", n)
	}
	u := join(t, url, "/admin,")
	u.connected("/admin")
	if told.n.Load() == 0 {
		t.Error("no broadcast to somebody")
	}
}
