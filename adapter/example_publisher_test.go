package adapter_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// A service that holds no sockets, and only publishes to those of others: a
// job that has come to its end, say. It is a node like any other; what it must
// not forget is to wait until it knows one that has sockets.
func Example_publisher() {
	hub := memory.NewHub() // as all nodes have it
	defer chatServer(hub)()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	bus, err := broker.Open(ctx, hub.Open, broker.Options{Node: "nightly-job", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bus.Close() // gives what waits a second to reach the broker
	cluster := adapter.NewCluster(bus, adapter.Options{})
	if err := cluster.AwaitNodes(ctx, 1); err != nil {
		fmt.Println(err)
		return
	}
	admins := adapter.Target{Rooms: []adapter.Room{"admins"}}
	receipt := cluster.Namespace("/chat").Deliver(admins, &adapter.Packet{Data: []byte("the job is done")})
	sockets, err := receipt.Wait(ctx)
	fmt.Println("sockets:", sockets, err)
	// Output:
	// carol hears the job is done
	// sockets: 1 <nil>
}

// chatServer is a node with a socket, elsewhere.
func chatServer(hub *memory.Hub) (stop func() error) {
	bus, err := broker.Open(context.Background(), hub.Open, broker.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	chat := adapter.NewCluster(bus, adapter.Options{}).Namespace("/chat")
	chat.Add(&printer{chat.NewID(), "carol"}, "admins")
	return bus.Close
}
