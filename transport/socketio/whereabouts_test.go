package socketio_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/transport/socketio"
)

// What nodes say of a socket reaches a node in no common order, and in the end
// nothing is kept of it.
func TestWhereaboutsOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newBubbles(t, 1)
		n := all[0].Of("/")
		for name, say := range map[string]func(id adapter.SocketID){
			"went on, and vanished, before it is heard where it was": func(id adapter.SocketID) {
				n.Told(id, "p", 2, "c")
				n.ToldGone(id, "p", 2)
				n.Told(id, "p", 1, "b")
			},
			"vanished before it is heard that it was": func(id adapter.SocketID) {
				n.ToldGone(id, "p", 2)
				n.Told(id, "p", 1, "b")
			},
			"died with a node, and has another pid": func(id adapter.SocketID) {
				n.Told(id, "p", 1, "b")
				n.Told(id, "q", 2, "c")
				n.ToldGone(id, "q", 2)
			},
		} {
			say(adapter.SocketID(name))
			if k := n.Whereabouts(); k != 0 {
				t.Errorf("%s: %d are known to be elsewhere", name, k)
			}
		}
		id := adapter.SocketID("id")
		n.ToldGone(id, "p", 1)
		if n.Told(id, "p", 2, "b"); n.Whereabouts() != 1 {
			t.Error("one that is back is not known to be")
		}
		n.ToldGone(id, "p", 2)
		time.Sleep(10 * time.Minute)
	})
}

// link opens a bus whose driver can be cut off.
func link(t *testing.T, hub *memory.Hub, name string) (*adapter.Cluster, *brokertest.Severed) {
	t.Helper()
	link := brokertest.Sever(hub.Driver())
	bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return link, nil },
		broker.Options{Node: name, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bus.Close() })
	return adapter.NewCluster(bus, adapter.Options{Logger: slog.New(slog.DiscardHandler)}), link
}

// moved has a client come to one node and go on to another.
func moved(t *testing.T, from, to *bubble) *visitor {
	t.Helper()
	v := from.arrive()
	v.cut()
	time.Sleep(time.Second)
	if v.back(to); !v.recovered {
		t.Fatal("not recovered")
	}
	time.Sleep(time.Second)
	return v
}

// found emits to a client by its id, from each node, and has all of it come.
func found(t *testing.T, v *visitor, from ...*bubble) {
	t.Helper()
	var want []int
	for i, b := range from {
		check(t, b.Of("/").To(v.sid).Emit("e", i))
		want = append(want, i)
	}
	cut := time.AfterFunc(5*time.Second, v.cut)
	if got := v.numbers(t, len(from)); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("got %v, want %v", got, want)
	}
	cut.Stop()
}

var recovering = socketio.Recovery{Enabled: true}

// linked returns nodes that know each other, and what each hangs on.
func linked(t *testing.T, n int) (all []*bubble, links []*brokertest.Severed) {
	hub := memory.NewHub()
	for i := range n {
		cluster, link := link(t, hub, fmt.Sprint("n", i))
		links = append(links, link)
		all = append(all, newBubble(t, socketio.Options{Adapter: cluster.Namespace, Recovery: recovering}))
	}
	time.Sleep(10 * time.Second)
	return all, links
}

// A node that was silent for so long that others took it to be dead, and is
// back, has its sockets found: those, too, whose ids name another node.
func TestWhereaboutsAfterSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, links := linked(t, 3)
		v := moved(t, all[0], all[1])
		links[1].Cut(true)
		time.Sleep(10 * time.Second)
		if k := all[2].Of("/").Whereabouts(); k != 0 {
			t.Errorf("%d are known to be on a node that is down", k)
		}
		links[1].Cut(false)
		time.Sleep(5 * time.Second)
		found(t, v, all[2], all[0])
		v.cut()
	})
}

// A namespace that is opened late finds the sockets that have moved before.
func TestWhereaboutsOfLateNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		late, _ := link(t, hub, "late")
		var all []*bubble
		for i := range 2 {
			cluster, _ := link(t, hub, fmt.Sprint("n", i))
			all = append(all, newBubble(t, socketio.Options{Adapter: cluster.Namespace, Recovery: recovering}))
		}
		time.Sleep(10 * time.Second)
		v := moved(t, all[0], all[1])
		b := newBubble(t, socketio.Options{Adapter: late.Namespace, Recovery: recovering})
		time.Sleep(time.Second)
		if k := b.Of("/").Whereabouts(); k != 1 {
			t.Errorf("%d are known to have moved", k)
		}
		found(t, v, b)
		v.cut()
	})
}
