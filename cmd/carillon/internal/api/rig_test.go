package api_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/cmd/carillon/internal/api"
	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

const key = "a-key-for-tests-0123456789"

// A node is an API and what it works with.
type node struct {
	api *api.API
	bus *broker.Bus
	url func() string // where clients connect

	users users
	block atomic.Pointer[gate] // waits for other nodes go through it
	wait  atomic.Int64         // how long they may take; 0: long
}

// A gate holds up one who comes, until it is opened.
type gate struct{ reached, opened chan struct{} }

func newGate() *gate { return &gate{make(chan struct{}), make(chan struct{})} }

// newNode starts a node of hub's cluster. Clients say who they are by auth.user,
// and join the rooms in auth.rooms.
func newNode(t *testing.T, hub *memory.Hub, name string, tune func(*api.Options)) *node {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return hub.Driver(), nil },
		broker.Options{Node: name, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	io := socketio.New(socketio.Options{Adapter: adapter.NewCluster(bus, adapter.Options{Logger: logger}).Namespace, Logger: logger})
	io.Of("/").Use(func(_ context.Context, s *socketio.Socket) error {
		var auth struct {
			User  string
			Rooms []string
		}
		if err := s.Handshake().Auth.Decode(&auth); err != nil {
			return err
		}
		s.SetData(auth.User)
		s.Join("user:" + auth.User)
		for _, r := range auth.Rooms {
			s.Join("room:" + r)
		}
		return nil
	})
	n := &node{bus: bus}
	opts := api.Options{
		Server:   io,
		Bus:      bus,
		Presence: &n.users,
		Names: api.Names{
			Room:     func(name string) string { return "room:" + name },
			User:     func(user string) string { return "user:" + user },
			RoomName: func(room string) (string, bool) { return strings.CutPrefix(room, "room:") },
		},
		Keys:   api.NewKeys([]string{"another-key-0123456789", key}),
		UserOf: func(s *socketio.Socket) string { user, _ := s.Data().(string); return user },
		Message: func(from string, data socketio.Raw) (string, any) {
			return "m1", map[string]any{"from": from, "data": data}
		},
		Wait: func() (context.Context, context.CancelFunc) {
			if g := n.block.Load(); g != nil {
				close(g.reached)
				<-g.opened
			}
			return context.WithTimeout(context.Background(), cmp.Or(time.Duration(n.wait.Load()), 20*time.Second))
		},
		Draining: func() bool { return false },
		Version:  "v1",
		Logger:   logger,
	}
	if tune != nil {
		tune(&opts)
	}
	n.api = api.New(opts)
	n.url = sync.OnceValue(func() string { // a bubble has no network
		server := httptest.NewServer(io)
		t.Cleanup(server.Close)
		return server.URL
	})
	t.Cleanup(func() {
		io.Close()
		n.api.Close()
		bus.Close()
	})
	return n
}

// pair returns two nodes that know each other.
func pair(t *testing.T) (a, b *node) {
	t.Helper()
	hub := memory.NewHub()
	a, b = newNode(t, hub, "a", nil), newNode(t, hub, "b", nil)
	meet(t, a, b)
	return a, b
}

func meet(t *testing.T, nodes ...*node) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if !slices.ContainsFunc(nodes, func(n *node) bool { return len(n.bus.Members()) != len(nodes)-1 }) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the nodes do not meet")
		}
	}
}

// join connects a client of a user, who is in rooms, and returns its socket's
// id too.
func (n *node) join(t *testing.T, user string, rooms ...string) (*socketiotest.Client, string) {
	t.Helper()
	auth, err := json.Marshal(map[string]any{"user": user, "rooms": rooms})
	if err != nil {
		t.Fatal(err)
	}
	c := socketiotest.Dial(t, n.url())
	return c, c.Join(string(auth))
}

// An exchange is a request and what is expected of its answer.
type exchange struct {
	method, path string // below api.Prefix
	body         string
	header       http.Header
	key          string // "": key; "-": none
}

func (n *node) do(e exchange) *httptest.ResponseRecorder {
	r := httptest.NewRequest(e.method, api.Prefix+e.path, strings.NewReader(e.body))
	if e.method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	if k := cmp.Or(e.key, key); k != "-" {
		r.Header.Set("Authorization", "Bearer "+k)
	}
	maps.Copy(r.Header, e.header)
	w := httptest.NewRecorder()
	n.api.ServeHTTP(w, r)
	return w
}

func (n *node) get(path string) *httptest.ResponseRecorder {
	return n.do(exchange{method: http.MethodGet, path: path})
}

func (n *node) post(path, body string) *httptest.ResponseRecorder {
	return n.do(exchange{method: http.MethodPost, path: path, body: body})
}

// want fails unless the answer is JSON equal to text.
func want(t *testing.T, w *httptest.ResponseRecorder, status int, text string) {
	t.Helper()
	if got := strings.TrimSpace(w.Body.String()); w.Code != status || got != text {
		t.Errorf("got %d %s, want %d %s", w.Code, got, status, text)
	}
}

// users is a Presence.
type users map[string]api.User

func (us *users) Find(ids []string) map[string]api.User {
	found := make(map[string]api.User)
	for _, id := range ids {
		if u, ok := (*us)[id]; ok {
			found[id] = u
		}
	}
	return found
}

func (us *users) Users(after string, limit int) (page []api.User, next string, total int, err error) {
	if strings.HasPrefix(after, "\x00") {
		return nil, "", 0, errors.New("not a cursor")
	}
	for _, u := range *us {
		if u.ID > after {
			page = append(page, u)
		}
	}
	slices.SortFunc(page, func(u, o api.User) int { return cmp.Compare(u.ID, o.ID) })
	if len(page) > limit {
		page, next = page[:limit], page[limit-1].ID
	}
	return page, next, len(*us), nil
}
