package adapter_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// printer is a Socket that prints what it gets.
type printer struct {
	id   adapter.SocketID
	name string
}

func (p *printer) ID() adapter.SocketID { return p.id }
func (p *printer) Info() []byte         { return []byte(p.name) }
func (p *printer) Disconnect(bool)      {}

func (p *printer) Deliver(packet *adapter.Packet) bool {
	fmt.Printf("%s hears %s\n", p.name, packet.Data)
	return true
}

func Example() {
	chat := adapter.NewLocal()
	chat.Add(&printer{chat.NewID(), "alice"}, "lobby")
	chat.Add(&printer{chat.NewID(), "bob"})
	lobby := adapter.Target{Rooms: []adapter.Room{"lobby"}}
	chat.Broadcast(lobby, &adapter.Packet{Data: []byte("hello, lobby")})
	// Output: alice hears hello, lobby
}

func ExampleCluster() {
	ctx := context.Background()
	hub := memory.NewHub() // or a broker that many processes share
	open := func(context.Context) (broker.Driver, error) { return hub.Driver(), nil }
	opts := broker.Options{Logger: slog.New(slog.DiscardHandler)}

	first, err := broker.Open(ctx, open, opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer first.Close()
	met := make(chan struct{}, 1)
	defer first.Watch(func(e broker.Event) {
		if e.Kind == broker.NodeUp {
			met <- struct{}{}
		}
	})()
	second, err := broker.Open(ctx, open, opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer second.Close()

	here := adapter.NewCluster(first, adapter.Options{}).Namespace("/chat")
	there := adapter.NewCluster(second, adapter.Options{}).Namespace("/chat")
	there.Add(&printer{there.NewID(), "bob"}, "lobby")
	<-met
	receipt := here.Deliver(adapter.Target{Rooms: []adapter.Room{"lobby"}}, &adapter.Packet{Data: []byte("hello, all nodes")})
	sockets, err := receipt.Wait(ctx)
	fmt.Println(sockets, err)
	// Output:
	// bob hears hello, all nodes
	// 1 <nil>
}
