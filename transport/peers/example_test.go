package peers_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/peers"
	"github.com/carillonhq/carillon/transport/socketio"
)

// Two Socket.IO servers and a balancer that does not care who asks.
func Example() {
	hub := memory.NewHub() // or Redis, RabbitMQ, Kafka
	var nodes []http.Handler
	for _, name := range []string{"one", "two"} {
		bus, err := broker.Open(context.Background(), hub.Open, broker.Options{Node: name, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			panic(err)
		}
		defer bus.Close()
		io := socketio.New(socketio.Options{Engine: engineio.Options{
			Peers:       peers.Over(bus),
			UpgradeHold: 500 * time.Millisecond,
		}})
		defer io.Close()
		io.Of("/").OnConnect(func(_ context.Context, s *socketio.Socket) { _ = s.Emit("welcome", "to node "+name) })
		nodes = append(nodes, io)
		for name == "two" && len(bus.Members()) == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	turn := 0
	balancer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		turn++
		nodes[turn%2].ServeHTTP(w, r)
	}))
	defer balancer.Close()

	// What a client does that polls:
	url := balancer.URL + "/socket.io/?EIO=4&transport=polling"
	open := body(http.Get(url)) // node two
	_, sid, _ := strings.Cut(open, `"sid":"`)
	sid, _, _ = strings.Cut(sid, `"`)
	fmt.Println(body(http.Post(url+"&sid="+sid, "text/plain", strings.NewReader("40")))) // by node one
	for heard := ""; !strings.Contains(heard, "welcome"); {
		heard = body(http.Get(url + "&sid=" + sid)) // by node two, one, ...
		if i := strings.Index(heard, "42"); i >= 0 {
			fmt.Println(heard[i:])
		}
	}
	// Output:
	// ok
	// 42["welcome","to node two"]
}

func body(res *http.Response, err error) string {
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
