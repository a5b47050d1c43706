package adapter_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// A chatter is one browser, on a WebSocket.
type chatter struct {
	id   adapter.SocketID
	out  chan []byte
	gone context.CancelFunc
}

func (c *chatter) ID() adapter.SocketID { return c.id }
func (c *chatter) Info() []byte         { return nil }
func (c *chatter) Disconnect(bool)      { c.gone() }

// Deliver does not wait: who is too slow has to go.
func (c *chatter) Deliver(p *adapter.Packet) bool {
	select {
	case c.out <- p.Data:
		return true
	default:
		c.gone()
		return false
	}
}

// chat serves a room of a chat, named by the path, to browsers.
func chat(rooms adapter.Adapter) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // which has answered
		}
		defer conn.CloseNow()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		room := adapter.Room(r.URL.Path)
		c := &chatter{rooms.NewID(), make(chan []byte, 64), cancel}
		c.out <- []byte("welcome to " + room)
		rooms.Add(c, room)
		defer rooms.Remove(c.id)

		go func() { // ends with the request
			defer cancel()
			for {
				_, line, err := conn.Read(ctx)
				if err != nil {
					return
				}
				rooms.Broadcast(adapter.Target{Rooms: []adapter.Room{room}}, &adapter.Packet{Data: line})
			}
		}()
		for {
			select {
			case line := <-c.out:
				if conn.Write(ctx, websocket.MessageText, line) != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// A chat over github.com/coder/websocket, on two nodes.
func Example_chat() {
	ctx := context.Background()
	hub := memory.NewHub() // redis.Open, rabbitmq.Open or kafka.Open instead, and there are two processes
	var urls []string
	var clusters []*adapter.Cluster
	for range 2 {
		bus, err := broker.Open(ctx, hub.Open, broker.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			panic(err)
		}
		defer bus.Close()
		cluster := adapter.NewCluster(bus, adapter.Options{})
		server := httptest.NewServer(chat(cluster.Namespace("/chat")))
		defer server.Close()
		clusters, urls = append(clusters, cluster), append(urls, server.URL)
	}
	for _, c := range clusters {
		c.AwaitNodes(ctx, 1)
	}

	alice := browser(ctx, urls[0]+"/lobby")
	bob := browser(ctx, urls[1]+"/lobby")
	defer alice.CloseNow()
	defer bob.CloseNow()
	alice.Write(ctx, websocket.MessageText, []byte("hello, bob"))
	_, line, _ := bob.Read(ctx)
	fmt.Printf("%s\n", line)
	// Output:
	// welcome to /lobby
	// welcome to /lobby
	// hello, bob
}

// browser connects, and returns when it is welcome.
func browser(ctx context.Context, url string) *websocket.Conn {
	conn, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		panic(err)
	}
	_, line, _ := conn.Read(ctx)
	fmt.Printf("%s\n", line)
	return conn
}
