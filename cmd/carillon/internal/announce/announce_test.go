package announce_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
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

var silent = slog.New(slog.DiscardHandler)

const grace = 300 * time.Millisecond

// two starts two instances that know each other.
func two(t *testing.T, opts announce.Options) (a, b string) {
	t.Helper()
	hub := memory.NewHub()
	a, one := start(t, hub, "a", opts)
	b, other := start(t, hub, "b", opts)
	for _, bus := range []*broker.Bus{one, other} {
		eventually(t, "the instances know each other", func() bool { return len(bus.Members()) == 1 })
	}
	return a, b
}

// start starts an instance whose clients are who they say, and join rooms by
// themselves.
func start(t *testing.T, hub *memory.Hub, node string, opts announce.Options) (url string, bus *broker.Bus) {
	t.Helper()
	bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return hub.Driver(), nil },
		broker.Options{Node: node, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	users := presence.New(bus, presence.Options{Grace: grace, Logger: silent})
	io := socketio.New(socketio.Options{Adapter: adapter.NewCluster(bus, adapter.Options{Logger: silent}).Namespace, Logger: silent})
	opts.Logger = silent
	if opts.Mode == announce.Rooms {
		opts.Rooms = presence.New(bus, presence.Options{Channel: "rooms", Grace: grace, Logger: silent})
		opts.Room = func(room string) (string, bool) { return strings.CutPrefix(room, "room:") }
		opts.RoomName = func(name string) string { return "room:" + name }
	}
	chat := io.Of("/")
	who := announce.New(users, node, opts)
	who.Serve(chat)
	chat.OnConnect(func(_ context.Context, s *socketio.Socket) {
		var auth struct{ User, Device string }
		if err := s.Handshake().Auth.Decode(&auth); err != nil {
			t.Error(err)
		}
		who.Connected(s, auth.User, auth.Device)
	})
	chat.OnDisconnect(func(_ context.Context, s *socketio.Socket, reason socketio.Reason) { who.Disconnected(s, reason) })
	socketio.On(chat, "join", func(_ context.Context, s *socketio.Socket, room string) error { s.Join("room:" + room); return nil })
	socketio.On(chat, "leave", func(_ context.Context, s *socketio.Socket, room string) error { s.Leave("room:" + room); return nil })
	server := httptest.NewServer(io)
	t.Cleanup(func() {
		io.Close()
		server.Close()
		who.Close()
		if opts.Rooms != nil {
			opts.Rooms.Close()
		}
		users.Close()
		bus.Close()
	})
	return server.URL, bus
}

// A person is a client with a name.
type person struct {
	*socketiotest.Client
	t *testing.T
}

func enter(t *testing.T, url, user, more string) person {
	t.Helper()
	c := socketiotest.Dial(t, url)
	c.Join(fmt.Sprintf(`{"user":%q%s}`, user, more))
	return person{c, t}
}

// hears fails unless the next frame, but for the states and counts that are
// told by the way, begins so.
func (p person) hears(want string) string {
	p.t.Helper()
	for {
		frame := p.Read()
		if frame == "438[]" { // of goes
			continue
		}
		if !strings.HasPrefix(frame, want) && (strings.HasPrefix(frame, `42["presence:state"`) || strings.HasPrefix(frame, `42["presence:counts"`)) {
			continue
		}
		if !strings.HasPrefix(frame, want) {
			p.t.Fatalf("heard %q, want %q…", frame, want)
		}
		return frame
	}
}

// awaits drops what it hears until a frame begins so.
func (p person) awaits(want string) string {
	p.t.Helper()
	for {
		if frame := p.Read(); strings.HasPrefix(frame, want) {
			return frame
		}
	}
}

// ask returns the answer to an event, and drops what is told meanwhile.
func (p person) ask(event string) map[string]any {
	p.t.Helper()
	p.Send("427" + event)
	frame := p.awaits("437[")
	var answers []map[string]any
	if err := json.Unmarshal([]byte(frame[3:]), &answers); err != nil || len(answers) != 1 {
		p.t.Fatalf("answer %q: %v", frame, err)
	}
	return answers[0]
}

// goes has the person join or leave a room. Being told of that may come first.
func (p person) goes(event string) {
	p.t.Helper()
	p.Send("428" + event)
}

// refused fails unless the answer to an event is an error of that code.
func (p person) refused(event, code string) {
	p.t.Helper()
	answer := p.ask(event)
	if e, _ := answer["error"].(map[string]any); e["code"] != code {
		p.t.Errorf("%s: got %v, want an error of code %s", event, answer, code)
	}
}

func names(answer map[string]any) (names []string) {
	users, _ := answer["users"].([]any)
	for _, u := range users {
		names = append(names, u.(map[string]any)["user"].(string))
	}
	return names
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time: " + what)
		}
	}
}

func TestWatch(t *testing.T) {
	a, b := two(t, announce.Options{Mode: announce.Watch, MaxWatch: 3})
	alice := enter(t, a, "alice", "")
	alice.hears(`42["presence:state",{"mode":"watch",`)
	answer := alice.ask(`["presence:watch",["bob","carol","bob"]]`)
	if got := names(answer); !slices.Equal(got, []string{"bob", "carol", "bob"}) {
		t.Errorf("states of %q", got)
	}
	dan := enter(t, b, "dan", "")
	bob := enter(t, b, "bob", "")
	alice.hears(`42["presence:online",{"user":"bob","seq":`) // and not of dan
	bob.ask(`["presence:update",{"status":"away"}]`)
	alice.hears(`42["presence:status",{"user":"bob","status":"away","seq":`)
	bob.Send("41")
	alice.hears(`42["presence:offline",{"user":"bob","seq":`)

	alice.refused(`["presence:watch",["w","x","y","z"]]`, "invalid")
	alice.refused(`["presence:watch",["x","y"]]`, "too_many")
	alice.refused(`["presence:watch",[]]`, "invalid")
	alice.refused(`["presence:watch",[""]]`, "invalid")
	alice.ask(`["presence:unwatch",["bob"]]`)
	enter(t, b, "bob", "")
	enter(t, b, "carol", "")
	alice.hears(`42["presence:online",{"user":"carol",`)
	alice.ask(`["presence:unwatch"]`)
	dan.ask(`["presence:watch",["erin"]]`)
	enter(t, a, "erin", "")
	dan.hears(`42["presence:online",{"user":"erin",`)
	if got := alice.ask(`["presence:get",["erin","nobody"]]`); fmt.Sprint(names(got)) != "[erin nobody]" {
		t.Errorf("got %v", got)
	}
}

func TestRooms(t *testing.T) {
	a, b := two(t, announce.Options{Mode: announce.Rooms})
	alice, bob := enter(t, a, "alice", ""), enter(t, b, "bob", "")
	alice.refused(`["presence:list"]`, "not_in_room")
	alice.refused(`["presence:list",{"room":"tower"}]`, "not_in_room")
	alice.goes(`["join","tower"]`)
	alice.hears(`42["presence:online",{"user":"alice","room":"tower","seq":`)
	bob.goes(`["join","tower"]`)
	alice.hears(`42["presence:online",{"user":"bob","room":"tower","seq":`)
	bob.awaits(`42["presence:online",{"user":"bob","room":"tower","seq":`) // of alice it may have heard
	for _, p := range []person{alice, bob} {
		eventually(t, "both are listed", func() bool {
			return slices.Equal(names(p.ask(`["presence:list",{"room":"tower"}]`)), []string{"alice", "bob"})
		})
	}
	// One more device in the room, and one that leaves it, is no news.
	phone := enter(t, a, "bob", "")
	phone.goes(`["join","tower"]`)
	bob.goes(`["leave","tower"]`)
	bob.refused(`["presence:list",{"room":"tower"}]`, "not_in_room")
	// Nor is one that comes back within the grace.
	phone.Vanish()
	phone = enter(t, b, "bob", "")
	phone.goes(`["join","tower"]`)
	phone.goes(`["leave","tower"]`)
	alice.hears(`42["presence:offline",{"user":"bob","room":"tower","seq":`)
	// Who leaves for good leaves all rooms.
	phone.goes(`["join","tower"]`)
	alice.hears(`42["presence:online",{"user":"bob","room":"tower","seq":`)
	phone.Send("41")
	alice.hears(`42["presence:offline",{"user":"bob","room":"tower","seq":`)
}

func TestCountsAboveMaxUsers(t *testing.T) {
	var switched []announce.Mode
	modes := make(chan announce.Mode, 10)
	a, b := two(t, announce.Options{
		MaxUsers: 5, Window: 100 * time.Millisecond,
		Hooks: announce.Hooks{Switched: func(to announce.Mode) { modes <- to }},
	})
	alice := enter(t, a, "alice", "")
	alice.hears(`42["presence:state",{"mode":"all","state":"`)
	alice.hears(`42["presence:online",{"user":"alice",`)
	var others []person
	for i := range 5 {
		others = append(others, enter(t, b, fmt.Sprint("user-", i), ""))
		if i < 4 {
			alice.hears(fmt.Sprintf(`42["presence:online",{"user":"user-%d",`, i))
		}
	}
	alice.hears(`42["presence:state",{"mode":"counts",`)
	for range 2 { // both instances
		switched = append(switched, <-modes)
	}
	if switched[0] != announce.Counts || switched[1] != announce.Counts {
		t.Errorf("switched to %v", switched)
	}
	another := enter(t, b, "another", "")
	alice.awaits(`42["presence:counts",{"users":7,"devices":7,"seq":`)
	another.Send("41")
	for _, p := range others[:3] {
		p.Send("41")
	}
	alice.hears(`42["presence:state",{"mode":"all",`)
	enter(t, b, "zoe", "")
	alice.awaits(`42["presence:online",{"user":"zoe",`) // and what was under way when the mode changed
}

func TestOff(t *testing.T) {
	a, _ := two(t, announce.Options{Mode: announce.Off})
	alice := enter(t, a, "alice", "")
	for _, event := range []string{`["presence:list"]`, `["presence:get",["alice"]]`, `["presence:watch",["alice"]]`, `["presence:update",{"status":"x"}]`} {
		alice.refused(event, "off")
	}
}

// Who may not see presence hears nothing of it, and counts all the same.
func TestBlind(t *testing.T) {
	a, b := two(t, announce.Options{Blind: func(s *socketio.Socket) bool {
		var auth struct{ Blind bool }
		_ = s.Handshake().Auth.Decode(&auth)
		return auth.Blind
	}})
	alice := enter(t, a, "alice", "")
	alice.hears(`42["presence:online",{"user":"alice",`)
	bob := enter(t, b, "bob", `,"blind":true`)
	alice.hears(`42["presence:online",{"user":"bob",`)
	carol := enter(t, a, "carol", "")
	alice.hears(`42["presence:online",{"user":"carol",`)
	carol.Send("41")
	alice.hears(`42["presence:offline",{"user":"carol",`)
	bob.Send(`429["presence:update",{"status":"here"}]`)
	if got := bob.Read(); got != `439[{"ok":true}]` { // and heard nothing before that
		t.Errorf("bob heard %q", got)
	}
	alice.hears(`42["presence:status",{"user":"bob","status":"here",`)
	for _, bad := range []string{`{}`, `{"status":7}`, `{"status":"` + strings.Repeat("x", 65) + `"}`, `{"status":"\u0007"}`} {
		alice.refused(`["presence:update",`+bad+`]`, "invalid")
	}
}

func TestReplaced(t *testing.T) {
	a, b := two(t, announce.Options{})
	watcher := enter(t, a, "watcher", "")
	watcher.hears(`42["presence:online",{"user":"watcher",`)
	other := enter(t, b, "other", "")
	watcher.hears(`42["presence:online",{"user":"other",`)
	other.awaits(`42["presence:online",{"user":"other",`)
	for _, urls := range [][2]string{{a, b}, {a, a}} {
		old := enter(t, urls[0], "alice", `,"device":"phone"`)
		watcher.hears(`42["presence:online",{"user":"alice",`)
		other.awaits(`42["presence:online",{"user":"alice",`) // else the newer one may not know that it is
		fresh := enter(t, urls[1], "alice", `,"device":"phone"`)
		old.awaits(`42["session:replaced",{"device":"phone","instance":"`)
		old.WantClosed()
		want := fmt.Sprintf("[map[devices:1 instances:[%s] online:true user:alice]]", map[string]string{a: "a", b: "b"}[urls[1]])
		eventually(t, "the older place is given up: "+want, func() bool {
			return fmt.Sprint(watcher.ask(`["presence:get",["alice"]]`)["users"]) == want
		})
		fresh.Send("41")
		for _, p := range []person{watcher, other} {
			p.hears(`42["presence:offline",{"user":"alice",`)
		}
	}
}

func TestPages(t *testing.T) {
	a, b := two(t, announce.Options{Mode: announce.Watch})
	alice := enter(t, a, "alice", "")
	want := []string{"alice"}
	for i := range 24 {
		enter(t, []string{a, b}[i%2], fmt.Sprintf("user-%02d", i), "")
		want = append(want, fmt.Sprintf("user-%02d", i))
	}
	eventually(t, "all are counted", func() bool {
		return fmt.Sprint(alice.ask(`["presence:list",{"limit":1}]`)["total"]) == "map[devices:25 users:25]"
	})
	var got []string
	after := ""
	for pages := 0; ; pages++ {
		answer := alice.ask(fmt.Sprintf(`["presence:list",{"limit":10,"after":%q}]`, after))
		got = append(got, names(answer)...)
		if after, _ = answer["next"].(string); after == "" {
			break
		}
		if pages > 10 {
			t.Fatal("no end of pages")
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("pages of %q", got)
	}
	alice.refused(`["presence:list",{"limit":1001}]`, "invalid")
	alice.refused(`["presence:list",{"after":"nonsense"}]`, "invalid")
}
