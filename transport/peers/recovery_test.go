package peers_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/peers"
	"github.com/carillonhq/carillon/transport/socketio"
)

// A client whose connection was at a node that leaves finds again what it had at
// the node of its session.
func TestRecoveryFromEdge(t *testing.T) {
	var urls []string
	var servers []*socketio.Server
	sockets := make(chan *socketio.Socket, 2)
	for _, n := range open2(t) {
		s := socketio.New(socketio.Options{
			Engine:   engineio.Options{Peers: n},
			Recovery: socketio.Recovery{Enabled: true},
			Logger:   slog.New(slog.DiscardHandler),
		})
		s.Of("/").OnConnect(func(_ context.Context, s *socketio.Socket) { sockets <- s })
		web := httptest.NewServer(s)
		t.Cleanup(web.Close)
		t.Cleanup(func() { _ = s.Close() })
		urls, servers = append(urls, web.URL+"/socket.io/?EIO=4"), append(servers, s)
	}
	var opened struct{ SID string }
	decode(t, body(http.Get(urls[0] + "&transport=polling"))[1:], &opened)
	c := dial(t, urls[1]+"&transport=websocket&sid="+opened.SID)
	c.say("2probe")
	c.hear("3probe")
	c.say("5")
	c.say("40")
	var first struct{ SID, PID string }
	decode(t, c.hear("40")[2:], &first)
	s := <-sockets
	if edges, _ := servers[1].Pipes(); edges != 1 {
		t.Fatalf("%d clients at the edge", edges)
	}
	_ = s.Emit("a")
	var event []string
	decode(t, c.hear(`42["a"`)[2:], &event)

	if err := servers[1].Drain(t.Context(), socketio.DrainOptions{}); err != nil {
		t.Error(err)
	}
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("closed by %v", err)
	}
	_ = s.Emit("b")
	c = dial(t, urls[0]+"&transport=websocket")
	c.hear("0")
	c.say(`40{"pid":"` + first.PID + `","offset":"` + event[1] + `"}`)
	var second struct{ SID, PID string }
	decode(t, c.hear("40")[2:], &second)
	if second != first {
		t.Errorf("is %+v, was %+v", second, first)
	}
	c.hear(`42["b"`)
	if s := <-sockets; !s.Recovered() {
		t.Error("it is not recovered")
	}
}

// open2 returns two nodes that see each other.
func open2(t *testing.T) []engineio.Peers {
	t.Helper()
	hub := memory.NewHub()
	one := func(name string) *peers.Peers {
		bus, err := broker.Open(t.Context(), hub.Open, broker.Options{Node: name, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = bus.Close() })
		return peers.Over(bus)
	}
	a, b := one("a"), one("b")
	for !a.Any() || !b.Any() {
		time.Sleep(time.Millisecond)
	}
	return []engineio.Peers{a, b}
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}

// A client speaks over a WebSocket.
type client struct {
	*websocket.Conn
	t *testing.T
}

func dial(t *testing.T, url string) *client {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(url, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return &client{c, t}
}

func (c *client) say(packet string) {
	c.t.Helper()
	if err := c.Write(c.t.Context(), websocket.MessageText, []byte(packet)); err != nil {
		c.t.Fatal(err)
	}
}

// hear returns the next packet, which begins so.
func (c *client) hear(begin string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	_, data, err := c.Read(ctx)
	if err != nil || !strings.HasPrefix(string(data), begin) {
		c.t.Fatalf("heard %q (%v), want %s...", data, err, begin)
	}
	return string(data)
}
