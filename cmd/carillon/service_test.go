package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/cmd/carillon/internal/announce"
	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// opener is how an instance opens its driver.
type opener func(context.Context) (broker.Driver, error)

func on(hub *memory.Hub) opener {
	return func(context.Context) (broker.Driver, error) { return hub.Driver(), nil }
}

// instance starts what run wires, without a process of its own.
func instance(t testing.TB, open opener, opts broker.Options) (url string, bus *broker.Bus) {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	opts.Logger = logger
	bus, err := broker.Open(t.Context(), open, opts)
	if err != nil {
		t.Fatal(err)
	}
	users := presence.New(bus, presence.Options{Grace: 100 * time.Millisecond})
	rooms := adapter.NewCluster(bus, adapter.Options{Logger: logger})
	gate, err := openGate(defaultConfig(), gateHooks{}, logger)
	if err != nil {
		t.Fatal(err)
	}
	io := socketio.New(socketOptions(defaultConfig().Server, rooms, logger))
	who := announce.New(users, bus.Self().Name, announce.Options{Logger: logger})
	service := newService(io, bus, who, gate, logger)
	server := httptest.NewServer(io)
	t.Cleanup(func() {
		io.Close()
		service.Close()
		gate.Close()
		server.Close()
		who.Close()
		users.Close()
		bus.Close()
	})
	return server.URL, bus
}

// two returns two instances that know each other.
func two(t *testing.T) (one, other string) {
	t.Helper()
	return pair(t, on(memory.NewHub()), broker.Options{})
}

func pair(t testing.TB, open opener, opts broker.Options) (one, other string) {
	t.Helper()
	opts.Node = "one"
	one, bus := instance(t, open, opts)
	met := make(chan struct{}, 1)
	defer bus.Watch(func(e broker.Event) {
		if e.Kind == broker.NodeUp {
			met <- struct{}{}
		}
	})()
	opts.Node = "two"
	other, _ = instance(t, open, opts)
	<-met
	return one, other
}

// login connects a user and returns when everyone's first events have come.
func login(t testing.TB, url, user string) *socketiotest.Client {
	t.Helper()
	c := socketiotest.Dial(t, url)
	c.Join(`{"user":"` + user + `"}`)
	var s session
	event(t, c, "session", &s)
	if s.User != user || s.Instance == "" || len(s.ID) != 20 {
		t.Errorf("session %+v", s)
	}
	return c
}

// event reads until an event of a name comes and decodes its argument.
func event(t testing.TB, c *socketiotest.Client, name string, into any) {
	t.Helper()
	for {
		frame := c.Read()
		if args, ok := strings.CutPrefix(frame, `42["`+name+`",`); ok {
			if err := json.Unmarshal([]byte(strings.TrimSuffix(args, "]")), into); err != nil {
				t.Fatalf("%s: %v", frame, err)
			}
			return
		}
	}
}

// read returns the next frame that is not about presence.
func read(c *socketiotest.Client) string {
	for {
		if frame := c.Read(); !strings.HasPrefix(frame, `42["presence:`) {
			return frame
		}
	}
}

// ask sends an event that wants an acknowledgement and returns that, decoded,
// without what differs from run to run.
func ask(t *testing.T, c *socketiotest.Client, packet string) map[string]any {
	t.Helper()
	c.Send("427" + packet)
	for {
		if answer, ok := strings.CutPrefix(c.Read(), "437["); ok {
			var fields map[string]any
			if err := json.Unmarshal([]byte(strings.TrimSuffix(answer, "]")), &fields); err != nil {
				t.Fatal(err)
			}
			delete(fields, "id")
			return fields
		}
	}
}

func TestMessages(t *testing.T) {
	one, other := two(t)
	alice := login(t, one, "alice")
	bob1, bob2 := login(t, other, "bob"), login(t, one, "bob")

	answer := ask(t, alice, `["message",{"to":"bob","data":{"text":"hi"}}]`)
	if want := map[string]any{"ok": true, "devices": 2.0}; !reflect.DeepEqual(answer, want) {
		t.Errorf("acknowledged %v, want %v", answer, want)
	}
	for _, bob := range []*socketiotest.Client{bob1, bob2} {
		var m struct {
			ID, From string
			Data     map[string]string
			At       int64
		}
		event(t, bob, "message", &m)
		if m.ID == "" || m.From != "alice" || m.Data["text"] != "hi" || time.Since(time.UnixMilli(m.At)).Abs() > time.Minute {
			t.Errorf("got %+v", m)
		}
	}
	answer = ask(t, alice, `["message",{"to":"carol","data":1}]`)
	if want := map[string]any{"ok": true, "devices": 0.0}; !reflect.DeepEqual(answer, want) {
		t.Errorf("to nobody: acknowledged %v, want %v", answer, want)
	}

	// Without an acknowledgement, and with binary.
	alice.Send(`451-["message",{"to":"bob","data":[{"_placeholder":true,"num":0}]}]`)
	alice.SendBinary([]byte{1, 2})
	header := read(bob1)
	if !strings.HasPrefix(header, `451-["message",{`) || !strings.Contains(header, `"data":[{"_placeholder":true,"num":0}]`) {
		t.Errorf("got %q", header)
	}
	bob1.Want("b:\x01\x02")
}

// away is a driver whose broker can go away.
type away struct {
	broker.Driver
	gone *atomic.Bool
}

func (a away) Publish(ctx context.Context, topic string, data []byte) error {
	if a.gone.Load() {
		return errors.New("away")
	}
	return a.Driver.Publish(ctx, topic, data)
}

// When no more can wait for the broker, the sender is told.
func TestOverflow(t *testing.T) {
	hub := memory.NewHub()
	gone := new(atomic.Bool)
	one, _ := pair(t, func(context.Context) (broker.Driver, error) { return away{hub.Driver(), gone}, nil },
		broker.Options{Buffer: 64 << 10})
	alice, bob := login(t, one, "alice"), login(t, one, "bob")
	ask(t, alice, `["room:join","tea"]`)
	gone.Store(true)
	text := strings.Repeat("x", 30_000)
	for _, packet := range []string{
		`["message",{"to":"bob","data":"` + text + `"}]`,
		`["room:message",{"room":"tea","data":"` + text + `"}]`,
	} {
		for {
			answer := ask(t, alice, packet)
			if answer["ok"] == true {
				continue // it waits for the broker
			}
			if code := answer["error"].(map[string]any)["code"]; code != "unavailable" {
				t.Errorf("acknowledged %v", answer)
			}
			break
		}
	}
	if frame := read(bob); !strings.HasPrefix(frame, `42["message",`) {
		t.Errorf("bob, on the same instance, got %.40q", frame)
	}
}

func TestRooms(t *testing.T) {
	one, other := two(t)
	alice, bob, carol := login(t, one, "alice"), login(t, other, "bob"), login(t, other, "carol")
	for _, c := range []*socketiotest.Client{alice, bob} {
		if got, want := ask(t, c, `["room:join","tea"]`), (map[string]any{"ok": true, "room": "tea"}); !reflect.DeepEqual(got, want) {
			t.Errorf("join: acknowledged %v, want %v", got, want)
		}
	}
	if got := ask(t, carol, `["room:message",{"room":"tea","data":0}]`); got["ok"] != false || got["error"].(map[string]any)["code"] != "not_in_room" {
		t.Errorf("from outside: acknowledged %v", got)
	}
	alice.Send(`42["room:message",{"room":"tea","data":"hot"}]`)
	for _, c := range []*socketiotest.Client{alice, bob} {
		var m struct{ ID, Room, From, Data string }
		event(t, c, "room:message", &m)
		if m.ID == "" || m.Room != "tea" || m.From != "alice" || m.Data != "hot" {
			t.Errorf("got %+v", m)
		}
	}
	ask(t, bob, `["room:leave","tea"]`)
	ask(t, alice, `["room:message",{"room":"tea","data":"cold"}]`)
	ask(t, alice, `["message",{"to":"bob","data":"direct"}]`)
	if frame := read(bob); !strings.HasPrefix(frame, `42["message",`) {
		t.Errorf("one who left got %q", frame)
	}
	// The room of a user is not one to join.
	ask(t, carol, `["room:join","user:bob"]`)
	ask(t, alice, `["message",{"to":"bob","data":"private"}]`)
	ask(t, alice, `["message",{"to":"carol","data":"yours"}]`)
	var m struct{ Data string }
	if event(t, carol, "message", &m); m.Data != "yours" {
		t.Errorf("carol got %q", m.Data)
	}
}

func TestPresence(t *testing.T) {
	one, other := two(t)
	alice := login(t, one, "alice")
	var who struct{ User string }
	if event(t, alice, "presence:online", &who); who.User != "alice" {
		t.Errorf("online: %q, want alice", who.User)
	}
	bob := login(t, other, "bob")
	if event(t, alice, "presence:online", &who); who.User != "bob" {
		t.Errorf("online: %q, want bob", who.User)
	}
	again := login(t, one, "bob")
	want := map[string]any{
		"ok": true, "instance": "one", "mode": "all", "state": "synced", "seq": 2.0,
		"total": map[string]any{"users": 2.0, "devices": 3.0},
		"users": []any{
			map[string]any{"user": "alice", "online": true, "devices": 1.0, "instances": []any{"one"}},
			map[string]any{"user": "bob", "online": true, "devices": 2.0, "instances": []any{"one", "two"}},
		},
	}
	if got := ask(t, alice, `["presence:list"]`); !reflect.DeepEqual(got, want) {
		t.Errorf("list %v, want %v", got, want)
	}
	bob.Leave()
	again.Vanish()
	if event(t, alice, "presence:offline", &who); who.User != "bob" {
		t.Errorf("offline: %q, want bob", who.User)
	}
}

func TestIdentify(t *testing.T) {
	url, _ := instance(t, on(memory.NewHub()), broker.Options{Node: "one"})
	for _, auth := range []string{``, `{}`, `{"user":null}`, `{"token":"x"}`} {
		c := socketiotest.Dial(t, url)
		c.Join(auth)
		var s session
		if event(t, c, "session", &s); !strings.HasPrefix(s.User, "anonymous-") {
			t.Errorf("%s: user %q", auth, s.User)
		}
	}
	for _, auth := range []string{`{"user":""}`, `{"user":5}`, `{"user":"a\u0000"}`, `{"user":"` + strings.Repeat("x", 129) + `"}`} {
		c := socketiotest.Dial(t, url)
		c.Send("40" + auth)
		if got := c.Read(); !strings.HasPrefix(got, `44{"message":"auth.user: `) || !strings.Contains(got, `"code":"invalid_user"`) {
			t.Errorf("%.40s: got %q", auth, got)
		}
	}
}

func TestInvalidEvents(t *testing.T) {
	url, _ := instance(t, on(memory.NewHub()), broker.Options{Node: "one"})
	c := login(t, url, "alice")
	for _, packet := range []string{
		`["message"]`, `["message",{}]`, `["message",5]`, `["message",{"to":["bob"]}]`,
		`["room:join"]`, `["room:join",{}]`, `["room:leave",""]`, `["room:join","` + strings.Repeat("x", 129) + `"]`,
		`["room:message",{"data":1}]`, `["room:message","x"]`,
	} {
		got := ask(t, c, packet)
		failure, _ := got["error"].(map[string]any)
		if got["ok"] != false || failure["code"] != "invalid" || failure["message"] == "" {
			t.Errorf("%.40s: acknowledged %v", packet, got)
		}
	}
}
