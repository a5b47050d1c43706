package socketio_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"regexp"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
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

// The servers of a cluster speak to each other: each node answers for its own
// clients, or for the machine that it runs on.
func ExampleNamespace_ServerSideEmitWithAck() {
	hub := memory.NewHub() // or a broker that many processes share
	ctx := context.Background()
	var chats []*socketio.Namespace
	var clusters []*adapter.Cluster
	for _, name := range []string{"berlin", "paris", "rome"} {
		bus, err := broker.Open(ctx, hub.Open, broker.Options{Node: name, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer bus.Close()
		cluster := adapter.NewCluster(bus, adapter.Options{})
		io := socketio.New(socketio.Options{Adapter: cluster.Namespace})
		defer io.Close()
		chat := io.Of("/chat")
		socketio.ReplyServer(chat, "load", func(_ context.Context, from string, _ any) (string, error) {
			return name + " is idle, " + from, nil
		})
		chats, clusters = append(chats, chat), append(clusters, cluster)
	}
	for _, c := range clusters {
		c.AwaitNodes(ctx, 2)
	}

	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	answers, err := chats[0].ServerSideEmitWithAck(ctx, "load")
	for _, a := range answers {
		var load string
		a.Bind(&load)
		fmt.Println(load)
	}
	fmt.Println(err) // an *adapter.PartialError where a node is missing
	// Unordered output:
	// paris is idle, berlin
	// rome is idle, berlin
	// <nil>
}

// A service that only publishes has a Server, too, and mounts it nowhere.
func ExampleServer_Of_publisher() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	open := func(context.Context) (broker.Driver, error) { return nil, errors.New("redis.Open, say") }
	bus, err := broker.Open(ctx, open, broker.Options{Node: "billing", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	cluster := adapter.NewCluster(bus, adapter.Options{})
	io := socketio.New(socketio.Options{Adapter: cluster.Namespace})
	defer io.Close()
	if err := cluster.AwaitNodes(ctx, 1); err != nil { // before that there is nobody to hear it
		log.Fatal(err)
	}
	if err := io.Of("/").To("user:alice").Emit("invoice", map[string]int{"total": 42}); err != nil {
		log.Fatal(err)
	}
}
