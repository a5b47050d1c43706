package socketio_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

func TestObserve(t *testing.T) {
	told := make(chan string, 10)
	server, url := serve(t, socketio.Options{}, func(server *socketio.Server) {
		n := server.Of("/")
		n.Use(func(_ context.Context, s *socketio.Socket) error {
			s.SetData(0) // not connected yet: not told
			return nil
		})
		n.Handle("set", func(_ context.Context, s *socketio.Socket, _ *socketio.Event) error {
			s.SetData(1)
			return nil
		})
	})
	server.Observe(socketio.Observer{}) // nil fields are skipped
	stop := server.Observe(socketio.Observer{
		Upgraded: func(s *socketio.Socket) { told <- "upgraded " + s.Transport() },
		DataSet:  func(s *socketio.Socket) { told <- "data set " + s.Namespace().Name() },
	})
	poll := func(method, query, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url+"/socket.io/?EIO=4&transport=polling"+query, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	_, rest, _ := strings.Cut(poll("GET", "", ""), `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	poll("POST", "&sid="+sid, "40")
	if got := poll("GET", "&sid="+sid, ""); !strings.HasPrefix(got, "40") {
		t.Fatalf("got %q", got)
	}
	if n := server.PollingSessions(); n != 1 {
		t.Errorf("got %d polling sessions, want 1", n)
	}
	conn, _, err := websocket.Dial(t.Context(), url+"/socket.io/?EIO=4&transport=websocket&sid="+sid, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	write := func(packets ...string) {
		t.Helper()
		for _, p := range packets {
			if err := conn.Write(t.Context(), websocket.MessageText, []byte(p)); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("2probe", "5", `42["set"]`)
	for _, want := range []string{"upgraded websocket", "data set /"} {
		if got := within(t, told, want); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	stop()
	write(`420["set"]`)
	for {
		_, text, err := conn.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if string(text) == "430[]" {
			break
		}
	}
	if len(told) > 0 {
		t.Errorf("told %q after stop", <-told)
	}
}

func TestNamespaces(t *testing.T) {
	server, url := serve(t, socketio.Options{}, func(server *socketio.Server) {
		server.Of("/chat")
		server.Of("/boss")
	})
	joined := make(chan adapter.SocketID, 10)
	stop := server.Of("/chat").WatchRooms(adapter.RoomHooks{Joined: func(_ adapter.Room, id adapter.SocketID) { joined <- id }})
	c := socketiotest.Dial(t, url)
	id := c.Join("/chat,")
	if got := within(t, joined, "a join"); string(got) != id {
		t.Errorf("got %s, want %s", got, id)
	}
	stop()
	c.Join("/boss,")
	socketiotest.Dial(t, url).Join("/boss,")
	lens := map[string]int{"/": 0, "/boss": 2, "/chat": 1}
	var names []string
	for _, n := range server.Namespaces() {
		names = append(names, n.Name())
		if got := n.Len(); got != lens[n.Name()] {
			t.Errorf("%s has %d sockets, want %d", n.Name(), got, lens[n.Name()])
		}
		if !n.Alone() {
			t.Errorf("%s is not alone", n.Name())
		}
	}
	if got := strings.Join(names, " "); got != "/ /boss /chat" {
		t.Errorf("got %s", got)
	}
	if server.Lookup("/nowhere") != nil || server.Lookup("/chat") != server.Of("/chat") {
		t.Error("Lookup finds what Of makes, and nothing else")
	}
}

// The sockets of one client have one name for it, on all nodes, and it is not
// the session's.
func TestClientID(t *testing.T) {
	ids := make(chan string, 2)
	setup := func(server *socketio.Server) {
		for _, name := range []string{"/", "/chat"} {
			server.Of(name).OnConnect(func(_ context.Context, s *socketio.Socket) { ids <- s.ClientID() })
		}
	}
	servers, urls, _ := serveNodes(t, 2, socketio.Options{}, setup)
	c := socketiotest.Dial(t, urls[0])
	c.Join("")
	c.Join("/chat,")
	first, second := within(t, ids, "a client"), within(t, ids, "a client")
	if first != second || len(first) != 12 {
		t.Errorf("got %q and %q", first, second)
	}
	remote, err := servers[1].Of("/").FetchSockets(t.Context())
	if err != nil || len(remote) != 1 || remote[0].Client != first || remote[0].Transport != "websocket" {
		t.Errorf("got %+v, %v", remote, err)
	}
	socketiotest.Dial(t, urls[0]).Join("")
	if third := within(t, ids, "a client"); third == first {
		t.Error("two clients have one name")
	}
}
