package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/cmd/carillon/internal/api"
)

// A message reaches the devices of users on all nodes, and the answer counts
// them and names who is offline.
func TestMessages(t *testing.T) {
	a, b := pair(t)
	here, _ := a.join(t, "alice")
	there, _ := b.join(t, "alice")
	bob, _ := b.join(t, "bob")
	want(t, a.post("messages", `{"to":["bob","zoe","alice","bob"],"from":"shop","data":{"n":1}}`), 200,
		`{"id":"m1","users":[{"user":"bob","devices":1},{"user":"zoe","devices":0},{"user":"alice","devices":2}],"offline":["zoe"],"missing":[]}`)
	here.Want(`42["message",{"data":{"n":1},"from":"shop"}]`)
	there.Want(`42["message",{"data":{"n":1},"from":"shop"}]`)
	bob.Want(`42["message",{"data":{"n":1},"from":"shop"}]`)
}

func TestNotificationsAndEmit(t *testing.T) {
	a, b := pair(t)
	alice, _ := a.join(t, "alice", "tea")
	bob, bobID := b.join(t, "bob", "tea")
	carol, _ := b.join(t, "carol")

	want(t, a.post("notifications", `{"users":["bob"],"event":"n","data":1,"receipt":true}`), 200, `{"ok":true,"sockets":1,"missing":[]}`)
	want(t, a.post("notifications", `{"rooms":["tea"],"users":["bob"],"event":"n","data":2,"receipt":true}`), 200, `{"ok":true,"sockets":2,"missing":[]}`)
	want(t, a.post("notifications", `{"all":true,"event":"n","data":3,"receipt":true}`), 200, `{"ok":true,"sockets":3,"missing":[]}`)
	alice.Want(`42["n",2]`, `42["n",3]`)
	bob.Want(`42["n",1]`, `42["n",2]`, `42["n",3]`)
	carol.Want(`42["n",3]`)

	want(t, a.post("emit", `{"rooms":["tea"],"except_users":["alice"],"event":"e","args":["x",{"y":[2.50]}]}`), 200, `{"ok":true,"missing":[]}`)
	want(t, a.post("emit", `{"except":["tea"],"event":"e"}`), 200, `{"ok":true,"missing":[]}`)
	want(t, a.post("emit", `{"sockets":["`+bobID+`"],"event":"you","receipt":true}`), 200, `{"ok":true,"sockets":1,"missing":[]}`)
	want(t, a.post("emit", `{"except_sockets":["`+bobID+`"],"event":"others","receipt":true}`), 200, `{"ok":true,"sockets":2,"missing":[]}`)
	alice.Want(`42["others"]`)
	bob.Want(`42["e","x",{"y":[2.50]}]`, `42["you"]`)
	carol.Want(`42["e"]`, `42["others"]`)
}

func TestSteering(t *testing.T) {
	a, b := pair(t)
	alice, aliceID := b.join(t, "alice")
	bob, _ := b.join(t, "bob", "tea")
	want(t, a.post("sockets/join", `{"users":["alice"],"join":["tea","milk"]}`), 200, `{"sockets":1,"missing":[]}`)
	want(t, a.get("rooms"), 200, `{"rooms":[{"room":"milk","sockets":1},{"room":"tea","sockets":2}],"missing":[]}`)
	want(t, a.post("sockets/leave", `{"rooms":["tea"],"except_users":["bob"],"leave":["tea"]}`), 200, `{"sockets":1,"missing":[]}`)
	want(t, a.get("rooms?prefix=t"), 200, `{"rooms":[{"room":"tea","sockets":1}],"missing":[]}`)

	want(t, a.post("sockets/disconnect", `{"sockets":["`+aliceID+`"]}`), 200, `{"sockets":1,"missing":[]}`)
	alice.Want("41")
	want(t, a.do(exchange{method: "DELETE", path: "users/bob/sockets"}), 200, `{"sockets":1,"missing":[]}`)
	bob.Want("41")
	bob.WantClosed()
	want(t, a.get("sockets"), 200, `{"sockets":[],"total":0,"missing":[]}`)
}

// pages follows "next" through all pages of a list, and returns what each item
// has as field.
func pages(t *testing.T, n *node, path, list, field string) (items []string, requests int) {
	t.Helper()
	for cursor := ""; ; requests++ {
		w := n.get(path + cursor)
		var page map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 {
			t.Fatalf("got %d %s, %v", w.Code, w.Body, err)
		}
		for _, item := range page[list].([]any) {
			items = append(items, item.(map[string]any)[field].(string))
		}
		next, ok := page["next"].(string)
		if !ok {
			return items, requests + 1
		}
		cursor = "&cursor=" + next
	}
}

// Lists come whole over their pages, each item once and in order.
func TestPages(t *testing.T) {
	a, b := pair(t)
	a.users = users{}
	for i := range 7 {
		n := []*node{a, b}[i%2]
		n.join(t, fmt.Sprint("user", i), fmt.Sprint("room", i), "all")
		a.users[fmt.Sprint("user", i)] = api.User{ID: fmt.Sprint("user", i), Devices: 1, Nodes: []string{"a"}}
	}
	for _, c := range []struct {
		path, list, field string
		items, requests   int
	}{
		{"sockets?limit=3", "sockets", "id", 7, 3},
		{"sockets?limit=7", "sockets", "id", 7, 1},
		{"sockets?limit=2&room=all", "sockets", "id", 7, 4},
		{"sockets?limit=2&room=room3", "sockets", "id", 1, 1},
		{"sockets?limit=2&user=user3&room=all", "sockets", "id", 1, 1},
		{"sockets?limit=2&user=user3&room=room4", "sockets", "id", 0, 1},
		{"rooms?limit=3", "rooms", "room", 8, 3},
		{"presence/users?limit=3", "users", "user", 7, 3},
		{"presence/users?limit=7", "users", "user", 7, 1},
	} {
		items, requests := pages(t, a, c.path, c.list, c.field)
		if len(items) != c.items || requests != c.requests {
			t.Errorf("%s: got %d items in %d requests, want %d in %d", c.path, len(items), requests, c.items, c.requests)
		}
		for i := 1; i < len(items); i++ {
			if items[i-1] >= items[i] {
				t.Errorf("%s: %s does not come behind %s", c.path, items[i], items[i-1])
			}
		}
	}
	w := a.get("sockets?user=user3")
	var page struct {
		Sockets []map[string]any
		Total   int
	}
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || page.Total != 1 || page.Sockets[0]["node"] != "b" ||
		page.Sockets[0]["user"] != "user3" || page.Sockets[0]["transport"] != "websocket" || fmt.Sprint(page.Sockets[0]["rooms"]) != "[all room3]" {
		t.Errorf("got %s", w.Body)
	}
}

func TestPresence(t *testing.T) {
	a := newNode(t, memory.NewHub(), "a", nil)
	a.users = users{"bob": {ID: "bob", Devices: 3, Nodes: []string{"a", "b"}}}
	want(t, a.get("presence/users"), 200, `{"users":[{"user":"bob","devices":3,"nodes":["a","b"]}],"total":1,"missing":[]}`)
	for _, cursor := range []string{"00", "x"} { // one that no page named, and none at all
		if w := a.get("presence/users?cursor=" + cursor); w.Code != 422 || !strings.Contains(w.Body.String(), `"parameter":"cursor"`) {
			t.Errorf("cursor %s: got %d %s", cursor, w.Code, w.Body)
		}
	}
	want(t, a.post("presence/query", `{"users":["zoe","bob"]}`), 200,
		`{"users":[{"user":"zoe","devices":0,"nodes":[],"online":false},{"user":"bob","devices":3,"nodes":["a","b"],"online":true}],"missing":[]}`)
}

// A node that does not answer is named, and does not take away the answers of
// the others.
func TestMissing(t *testing.T) {
	a, b := pair(t)
	a.join(t, "alice", "tea")
	release := make(chan struct{})
	defer close(release)
	// What b hears is handed over in a's order: a handler that does not return
	// holds up all that follows.
	b.bus.Handle("stall", func(broker.Message) { <-release })
	if err := a.bus.Broadcast("stall", nil); err != nil {
		t.Fatal(err)
	}
	a.wait.Store(int64(50 * time.Millisecond))
	want(t, a.post("messages", `{"to":["alice","bob"],"data":1}`), 200,
		`{"id":"m1","users":[{"user":"alice","devices":1},{"user":"bob","devices":0}],"offline":["bob"],"missing":[{"node":"b","reason":"timeout"}]}`)
	want(t, a.get("rooms"), 200, `{"rooms":[{"room":"tea","sockets":1}],"missing":[{"node":"b","reason":"timeout"}]}`)
	want(t, a.post("emit", `{"event":"e","receipt":true}`), 200, `{"ok":true,"sockets":1,"missing":[{"node":"b","reason":"timeout"}]}`)
	want(t, a.post("sockets/join", `{"all":true,"join":["x"]}`), 200, `{"sockets":1,"missing":[{"node":"b","reason":"timeout"}]}`)
}

// A node that has no API is named too.
func TestRefused(t *testing.T) {
	a, b := pair(t)
	b.api.Close()
	want(t, a.get("rooms"), 200, `{"rooms":[],"missing":[{"node":"b","reason":"refused"}]}`)
}

func TestIdempotency(t *testing.T) {
	a := newNode(t, memory.NewHub(), "a", func(o *api.Options) { o.IdempotencyKeys = 3 })
	alice, _ := a.join(t, "alice")
	send := func(k, path, body string) *httptest.ResponseRecorder {
		return a.do(exchange{method: "POST", path: path, body: body, header: http.Header{"Idempotency-Key": {k}}})
	}
	const body = `{"all":true,"event":"e","data":%d}`
	first := send("k1", "notifications", fmt.Sprintf(body, 1))
	again := send("k1", "notifications", fmt.Sprintf(body, 1))
	if first.Code != 200 || again.Code != 200 || first.Body.String() != again.Body.String() {
		t.Errorf("got %d %s and %d %s", first.Code, first.Body, again.Code, again.Body)
	}
	if first.Header().Get("Idempotency-Replayed") != "" || again.Header().Get("Idempotency-Replayed") != "true" {
		t.Error("it is not told which answer is a replay")
	}
	for _, w := range []*httptest.ResponseRecorder{
		send("k1", "notifications", fmt.Sprintf(body, 2)),
		send("k1", "emit", fmt.Sprintf(body, 1)), // not valid there, but that is not what is told
	} {
		if w.Code != 422 || !strings.Contains(w.Body.String(), `"idempotency_key_reused"`) || !strings.Contains(w.Body.String(), `"header":"Idempotency-Key"`) {
			t.Errorf("another body: got %d %s", w.Code, w.Body)
		}
	}
	// What failed may be sent again.
	if w := send("k2", "notifications", `{}`); w.Code != 422 {
		t.Errorf("got %d", w.Code)
	}
	send("k2", "notifications", fmt.Sprintf(body, 3))
	alice.Want(`42["e",1]`, `42["e",3]`)

	// The oldest go first when there are too many.
	for i := 4; i <= 5; i++ {
		send(fmt.Sprint("k", i), "notifications", fmt.Sprintf(body, i))
	}
	if w := send("k1", "notifications", fmt.Sprintf(body, 6)); w.Code != 200 {
		t.Errorf("k1 was kept: got %d %s", w.Code, w.Body)
	}
	alice.Want(`42["e",4]`, `42["e",5]`, `42["e",6]`)

	for _, bad := range []string{"", strings.Repeat("x", 256), "é", "a\tb"} {
		if w := send(bad, "emit", `{"event":"e"}`); w.Code != 422 {
			t.Errorf("key %.20q: got %d", bad, w.Code)
		}
	}
}

// Keys can be shown in two ways, and be replaced.
func TestKeys(t *testing.T) {
	keys := api.NewKeys([]string{key, "another-key-0123456789"})
	a := newNode(t, memory.NewHub(), "a", func(o *api.Options) { o.Keys = keys })
	nodes := func(h http.Header) int { return a.do(exchange{method: "GET", path: "nodes", key: "-", header: h}).Code }
	for _, c := range []struct {
		h    http.Header
		want int
	}{
		{http.Header{"Authorization": {"Bearer " + key}}, 200},
		{http.Header{"Authorization": {"bearer another-key-0123456789"}}, 200},
		{http.Header{"X-Api-Key": {key}}, 200},
		{http.Header{"Authorization": {"Basic " + key}}, 401},
		{http.Header{"Authorization": {key}}, 401},
		{http.Header{"Authorization": {"Bearer "}}, 401},
		{http.Header{"Authorization": {"Bearer x"}, "X-Api-Key": {key}}, 401}, // what is shown first counts
		{nil, 401},
	} {
		if got := nodes(c.h); got != c.want {
			t.Errorf("%v: got %d, want %d", c.h, got, c.want)
		}
	}
	keys.Set([]string{"a-new-key-0123456789"})
	if got := nodes(http.Header{"X-Api-Key": {key}}); got != 401 {
		t.Errorf("a key that was withdrawn: got %d", got)
	}
	if got := nodes(http.Header{"X-Api-Key": {"a-new-key-0123456789"}}); got != 200 {
		t.Errorf("a new key: got %d", got)
	}
	keys.Set(nil)
	if got := nodes(http.Header{"X-Api-Key": {""}}); got != 401 {
		t.Errorf("without keys: got %d", got)
	}
}

// What is observed has no names of clients' choice.
func TestHooks(t *testing.T) {
	var got []string
	a := newNode(t, memory.NewHub(), "a", func(o *api.Options) {
		o.Hooks.Served = func(route, method string, status int, took time.Duration) {
			got = append(got, fmt.Sprint(route, " ", method, " ", status))
		}
	})
	a.do(exchange{method: "DELETE", path: "users/someone/sockets"})
	a.get("somewhere")
	a.do(exchange{method: "BREW", path: "nodes"})
	if want := "[/users/{user}/sockets DELETE 200 unknown GET 404 unknown other 405]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// A body that drips in is given up, and does not hold its connection.
func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newNode(t, memory.NewHub(), "a", nil)
		client, server := net.Pipe()
		served := make(chan error, 1)
		once := &oneListener{conn: server, done: make(chan struct{})}
		h := &http.Server{Handler: a.api}
		go func() { served <- h.Serve(once) }() // ends with Close
		defer func() { h.Close(); <-served }()
		fmt.Fprintf(client, "POST %smessages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-API-Key: %s\r\nContent-Length: 100\r\n\r\n{", api.Prefix, key)
		start := time.Now()
		answer, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil || answer.StatusCode != 400 {
			t.Fatalf("got %v, %v", answer, err)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("answered after %v", took)
		}
		client.Close()
	})
}

// oneListener accepts one connection.
type oneListener struct {
	conn net.Conn
	done chan struct{}
	end  sync.Once
}

func (l *oneListener) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.done
	return nil, net.ErrClosed
}
func (l *oneListener) Close() error   { l.end.Do(func() { close(l.done) }); return nil }
func (l *oneListener) Addr() net.Addr { return &net.UnixAddr{} }
