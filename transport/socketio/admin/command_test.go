package admin_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/admin"
)

func TestCommands(t *testing.T) {
	_, _, url := serve(t, socketio.Options{}, admin.Options{NoAuth: true}, nil)
	a, b := join(t, url, ""), join(t, url, "")
	u := join(t, url, "/admin,")
	do := func(id, packet, want string) {
		t.Helper()
		u.Send("42/admin," + id + packet)
		for {
			if got := u.Read(); strings.HasPrefix(got, "43") {
				if got != "43/admin,"+id+want {
					t.Errorf("%s: got %s, want %s", packet, got, want)
				}
				return
			}
		}
	}
	do("1", `["emit","/",null,"hello",{"n":1},[]]`, `[]`)
	a.Want(`42["hello",{"n":1},[]]`)
	b.Want(`42["hello",{"n":1},[]]`)
	do("2", `["join","/","lobby","`+a.id+`"]`, `[]`)
	do("3", `["emit","/","lobby","in lobby"]`, `[]`)
	a.Want(`42["in lobby"]`)
	do("4", `["join","/","all"]`, `[]`)
	do("5", `["leave","/","all","lobby"]`, `[]`)
	do("6", `["emit","/","all","in all"]`, `[]`)
	b.Want(`42["in all"]`)
	do("7", `["_disconnect","/",false,"lobby"]`, `[]`)
	a.Want(`41`)
	do("8", `["_disconnect","/",true]`, `[]`)
	b.WantClosed()

	for packet, want := range map[string]string{
		`["emit","/nowhere",null,"x"]`: `[{"ok":false,"error":{"code":"not_found","message":"this server has no such namespace now"}}]`,
		`["emit"]`:                     `[{"ok":false,"error":{"code":"not_found","message":"this server has no such namespace now"}}]`,
		`["emit","/",null,"connect"]`:  `[{"ok":false,"error":{"code":"failed","message":"emit \"connect\": socketio: reserved event name"}}]`,
		`["join","/"]`:                 `[{"ok":false,"error":{"code":"invalid","message":"argument 2: a room expected"}}]`,
		`["leave","/",{}]`:             `[{"ok":false,"error":{"code":"invalid","message":"argument 2: unexpected object"}}]`,
		`["_disconnect","/","yes"]`:    `[{"ok":false,"error":{"code":"invalid","message":"argument 2: unexpected string"}}]`,
	} {
		do("9", packet, want)
	}
}

func TestReadOnly(t *testing.T) {
	_, _, url := serve(t, socketio.Options{}, admin.Options{NoAuth: true, ReadOnly: true}, nil)
	c := join(t, url, "")
	u := join(t, url, "/admin,")
	if got := string(u.next("config")[0]); got != `{"supportedFeatures":["AGGREGATED_EVENTS"]}` {
		t.Errorf("got %s", got)
	}
	for _, packet := range []string{
		`["emit","/",null,"hello"]`, `["join","/","x"]`, `["leave","/","x"]`, `["_disconnect","/",true]`,
	} {
		u.Send("42/admin,1" + packet)
		got := ""
		for !strings.HasPrefix(got, "43") {
			got = u.Read()
		}
		if !strings.Contains(got, `"code":"read_only"`) {
			t.Errorf("%s: got %s", packet, got)
		}
	}
	c.Send("40/nowhere,") // the next thing that it hears
	c.Want(`44/nowhere,{"message":"Invalid namespace"}`)
}

// An administrator sees the sockets and numbers of all nodes, and reaches them.
func TestCluster(t *testing.T) {
	urls := serveNodes(t, 2, admin.Options{NoAuth: true, Development: true})
	there := join(t, urls[1], "")
	there.Send(`42["nobody handles this"]`)
	u := join(t, urls[0], "/admin,")
	var found bool
	for _, s := range decode[[]socket](t, u.next("all_sockets")[0]) {
		if s.ID == there.id {
			found = true
			if s.Transport != "websocket" || len(s.ClientID) != 12 || string(s.Data) != "{}" {
				t.Errorf("got %+v", s)
			}
		}
	}
	if !found {
		t.Error("the other node's socket is missing")
	}
	seen := map[string]int{}
	for len(seen) < 2 {
		s := decode[stats](t, u.next("server_stats")[0])
		seen[s.ServerID] = s.ClientsCount
	}
	if seen["n0"] != 1 || seen["n1"] != 1 {
		t.Errorf("got clients %v, want 1 on each", seen)
	}

	u.Send(`42/admin,["join","/","lobby","` + there.id + `"]`)
	u.want("room_joined", "/", "lobby", there.id)
	there.Send(`42["hi"]`)
	u.want("event_received", "/", there.id, `["hi"]`)
	u.Send(`42/admin,["_disconnect","/",false,"` + there.id + `"]`)
	there.Want("41")
	u.want("socket_disconnected", "/", there.id, "server namespace disconnect")
}

func request(t *testing.T, method, url, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%s %s: %d %s %v", method, url, res.StatusCode, text, err)
	}
	return string(text)
}

// open opens a session over polling and returns its id.
func open(t *testing.T, url string) string {
	t.Helper()
	text := request(t, http.MethodGet, url, "")
	return decode[struct{ SID string }](t, []byte(strings.TrimPrefix(text, "0"))).SID
}

func post(t *testing.T, url, body string) {
	t.Helper()
	request(t, http.MethodPost, url, body)
}
