package admin_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/admin"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

func TestStats(t *testing.T) {
	_, _, url := serve(t, socketio.Options{}, admin.Options{NoAuth: true, Namespace: "/boss", ServerID: "one"}, func(io *socketio.Server) {
		io.Of("/chat")
	})
	join(t, url, "")
	c := join(t, url, "/chat,")
	c.Join("")
	if res, err := http.Get(url + "/socket.io/?EIO=4&transport=polling"); err != nil {
		t.Fatal(err)
	} else {
		res.Body.Close()
	}
	socketiotest.Dial(t, url).Leave()

	u := join(t, url, "/boss,")
	event, args := u.read()
	if got := string(args[0]); event != "config" || got != `{"supportedFeatures":["EMIT","JOIN","LEAVE","DISCONNECT","MJOIN","MLEAVE","MDISCONNECT","AGGREGATED_EVENTS"]}` {
		t.Errorf("got %s %s", event, got)
	}
	counted := map[string]int{}
	for report := 0; ; report++ {
		event, args := u.read()
		if event != "server_stats" {
			t.Fatalf("got %s %s: want nothing but stats", event, args)
		}
		s := decode[stats](t, args[0])
		if s.ServerID != "one" || s.PID == 0 || s.Uptime < 0 {
			t.Errorf("got %s", args[0])
		}
		for _, e := range s.AggregatedEvents {
			if e.Timestamp%1000 != 0 || time.Since(time.UnixMilli(e.Timestamp)) > time.Minute {
				t.Errorf("counted at %d", e.Timestamp)
			}
			counted[strings.TrimSpace(e.Type+" "+e.SubType)] += e.Count
		}
		if s.ClientsCount == 4 && counted["rawDisconnection transport close"] == 1 { // the one that left has left
			if got := fmt.Sprint(s.Namespaces); got != "[{/ 2} {/boss 1} {/chat 1}]" {
				t.Errorf("got namespaces %s", got)
			}
			if s.PollingClientsCount != 1 {
				t.Errorf("got %d polling, want 1", s.PollingClientsCount)
			}
			if counted["rawConnection"] != 5 || counted["packetsIn"] != 4 || counted["packetsOut"] < 6 || counted["bytesIn"] != 16 || counted["bytesOut"] < 100 {
				t.Errorf("counted %v", counted)
			}
			return
		}
		if report == 5 {
			t.Fatalf("got %+v, counted %v", s, counted)
		}
	}
}

func TestDevelopment(t *testing.T) {
	_, io, url := serve(t, socketio.Options{}, admin.Options{NoAuth: true, Development: true}, func(io *socketio.Server) {
		io.Of("/").Handle("say", func(_ context.Context, s *socketio.Socket, e *socketio.Event) error {
			s.SetData(map[string]string{"user": "ann"})
			s.Join("lobby")
			return s.Emit("said", e.Args[0], e.Args[1])
		})
	})
	before := join(t, url, "")
	u := join(t, url, "/admin,")
	if got := string(u.next("config")[0]); !strings.Contains(got, `"ALL_EVENTS"`) {
		t.Errorf("got %s", got)
	}
	all := decode[[]socket](t, u.next("all_sockets")[0])
	slices.SortFunc(all, func(a, b socket) int { return strings.Compare(a.NSP, b.NSP) })
	if len(all) != 2 || all[0].ID != before.id || all[1].ID != u.id {
		t.Fatalf("got %+v, want %s and %s", all, before.id, u.id)
	}
	s := all[0]
	if s.NSP != "/" || len(s.ClientID) != 12 || s.Transport != "websocket" || string(s.Data) != "{}" || !slices.Equal(s.Rooms, []string{s.ID}) {
		t.Errorf("got %+v", s)
	}
	if h := s.Handshake; !strings.HasPrefix(h.Address, "127.0.0.1:") || h.Query["EIO"] != "4" || h.Issued == 0 || !strings.HasPrefix(h.URL, "/socket.io/?") {
		t.Errorf("got handshake %+v", h)
	}

	c := join(t, url, "")
	u.want("room_joined", "/", c.id, c.id)
	if got := u.connected("/"); got.ID != c.id || got.Transport != "websocket" || got.ClientID == s.ClientID {
		t.Errorf("got %+v", got)
	}
	c.Send(`451-["say",{"text":"hi"},{"_placeholder":true,"num":0}]`)
	c.SendBinary([]byte("ding"))
	c.Want(`451-["said",{"text":"hi"},{"_placeholder":true,"num":0}]`, "b:ding")
	u.want("event_received", "/", c.id, `["say",{"text":"hi"},{"_placeholder":true,"num":0}]`)
	if got := u.Read(); got != "b:ding" {
		t.Errorf("got %q", got)
	}
	if got := string(u.next("socket_updated")[0]); got != `{"id":"`+c.id+`","nsp":"/","data":{"user":"ann"}}` {
		t.Errorf("got %s", got)
	}
	u.want("room_joined", "/", "lobby", c.id)
	u.want("event_sent", "/", c.id, `["said",{"text":"hi"},{"_placeholder":true,"num":0}]`)
	c.Send("41")
	u.want("room_left", "/", "lobby", c.id)
	u.want("socket_disconnected", "/", c.id, "client namespace disconnect")

	// A namespace that comes later is watched, too.
	io.Of("/later")
	c = join(t, url, "/later,")
	u.want("room_joined", "/later", c.id, c.id)
	u.connected("/later")
}

// A client that goes from polling to WebSocket is seen to do so.
func TestTransport(t *testing.T) {
	_, _, url := serve(t, socketio.Options{}, admin.Options{NoAuth: true, Development: true}, nil)
	u := join(t, url, "/admin,")
	u.next("all_sockets")
	endpoint := url + "/socket.io/?EIO=4&transport=polling"
	sid := open(t, endpoint)
	post(t, endpoint+"&sid="+sid, "40")
	if got := u.connected("/"); got.Transport != "polling" {
		t.Errorf("got %+v", got)
	}
	conn, _, err := websocket.Dial(t.Context(), url+"/socket.io/?EIO=4&transport=websocket&sid="+sid, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	for _, packet := range []string{"2probe", "5"} {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(packet)); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(u.next("socket_updated")[0]); !strings.Contains(got, `"nsp":"/","transport":"websocket"}`) {
		t.Errorf("got %s", got)
	}
}

// What administrators are told is not told them again, and again.
func TestNoFeedback(t *testing.T) {
	_, _, url := serve(t, socketio.Options{}, admin.Options{NoAuth: true, Development: true}, nil)
	u := join(t, url, "/admin,")
	u.next("all_sockets")
	other := join(t, url, "/admin,")
	for u.connected("/admin").ID != other.id {
	}
	u.next("server_stats")
	for range 2 { // a round of stats, which nothing else comes between
		if event, args := u.read(); event != "server_stats" {
			t.Fatalf("got %s %s", event, args)
		}
	}
}

func TestSecretsOfClients(t *testing.T) {
	_, _, url := serve(t, socketio.Options{}, admin.Options{NoAuth: true, Development: true}, nil)
	u := join(t, url, "/admin,")
	u.next("all_sockets")
	conn, _, err := websocket.Dial(t.Context(), url+"/socket.io/?EIO=4&transport=websocket", &websocket.DialOptions{HTTPHeader: http.Header{
		"Cookie": {"sid=s3cret"}, "Authorization": {"Bearer s3cret"}, "X-Forwarded-For": {"10.1.2.3"}, "X-Shown": {"yes"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(`40{"token":"s3cret"}`)); err != nil {
		t.Fatal(err)
	}
	h := u.connected("/").Handshake
	if strings.Contains(fmt.Sprint(h), "s3cret") {
		t.Errorf("got %+v", h)
	}
	if h.Address != "10.1.2.3" || h.Headers["x-shown"] != "yes" {
		t.Errorf("got %+v", h)
	}
}

// More sockets than fit into one packet are all told.
func TestManySockets(t *testing.T) {
	_, _, url := serve(t, socketio.Options{}, admin.Options{NoAuth: true, Development: true}, func(io *socketio.Server) {
		io.Of("/").OnConnect(func(_ context.Context, s *socketio.Socket) { s.SetData(strings.Repeat("x", 64<<10)) })
	})
	want := map[string]bool{}
	for range 40 {
		want[join(t, url, "").id] = true
	}
	u := join(t, url, "/admin,")
	all := decode[[]socket](t, u.next("all_sockets")[0])
	if len(all) == 0 || len(all) > 10 {
		t.Errorf("%d sockets in the first packet", len(all))
	}
	for _, s := range all {
		delete(want, s.ID)
	}
	for len(want) > 0 {
		delete(want, decode[socket](t, u.next("socket_connected")[0]).ID)
	}
}

func TestClose(t *testing.T) {
	before := runtime.NumGoroutine()
	a, io, url := serve(t, socketio.Options{}, admin.Options{NoAuth: true, Development: true}, nil)
	u := join(t, url, "/admin,")
	u.next("all_sockets")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for u.Read() != "41/admin," {
	}
	u.Send("40/admin,")
	u.Want(`44/admin,{"message":"closed"}`)
	c := join(t, url, "") // all else goes on
	c.Leave()
	u.Leave()
	if err := io.Close(); err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	// What is left is of net/http and the test's own clients.
	for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before+8; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, before %d", runtime.NumGoroutine(), before)
		}
	}
}

func FuzzHandshake(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `[]`, `{"headers":null}`, `{"headers":{"cookie":"a","x-forwarded-for":"1.2.3.4"},"address":"x","query":{"a":"b"},"issued":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		h := admin.ParseHandshake(text)
		if _, leaks := h.Headers["cookie"]; leaks {
			t.Errorf("%q: got a cookie", text)
		}
	})
}
