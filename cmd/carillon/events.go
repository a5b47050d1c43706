package main

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/cmd/carillon/internal/webhook"
	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/socketio"
)

// events tells the back end what happens on this node. Of a user's coming and
// going only one node tells: the one whose socket made the difference. Where
// that is in doubt (two nodes lose the last two sockets of a user at the same
// time), both may: better twice than never. If a node crashes, the one with the
// least ID of those that are left tells of the users whom that took offline.
type events struct {
	wants   map[string]bool
	clients map[string]bool // names of clients' events
	send    func(webhook.Event) bool
	bus     *broker.Bus
	users   *presence.Tracker
	stops   []func()

	mu       sync.Mutex           // guards what follows
	here     map[string]int       // user → sockets of this node
	released map[string]time.Time // when the last socket here went of users who had others elsewhere
	crash    time.Time            // when another node went down
}

const (
	// doubt is how long after a user's last socket here another node may not
	// have heard of it.
	doubt = 5 * time.Second

	// crashTime is how long after a node's end its users go offline, at most.
	crashTime = 2 * time.Second
)

// tellOf makes io's sockets be told of to send. It has to precede what tracks
// them, and watch has to follow it.
func tellOf(cfg Webhooks, io *socketio.Namespace, bus *broker.Bus, users *presence.Tracker, send func(webhook.Event) bool) *events {
	e := &events{
		wants: set(cfg.Events), clients: set(cfg.ClientEvents), send: send, bus: bus, users: users,
		here: make(map[string]int), released: make(map[string]time.Time),
	}
	io.OnConnect(e.connected)
	return e
}

// watch follows what newService has registered.
func (e *events) watch(io *socketio.Namespace) {
	io.OnDisconnect(e.disconnected)
	io.UseEvent(e.clientEvent)
	for name := range e.clients {
		if !io.Handles(name) {
			io.Handle(name, func(_ context.Context, _ *socketio.Socket, ev *socketio.Event) error {
				return ev.Ack(struct {
					OK bool `json:"ok"`
				}{true})
			})
		}
	}
	e.stops = append(e.stops, e.users.Watch(e.changed), e.bus.Watch(func(ev broker.Event) {
		if ev.Kind == broker.NodeDown {
			e.mu.Lock()
			e.crash = time.Now()
			e.mu.Unlock()
		}
	}))
}

// Close stops watching.
func (e *events) Close() {
	for _, stop := range e.stops {
		stop()
	}
}

func set(names []string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, n := range names {
		s[n] = true
	}
	return s
}

func (e *events) tell(ev webhook.Event) {
	if e.wants[ev.Type] {
		e.send(ev)
	}
}

// connected is called before the socket is tracked.
func (e *events) connected(_ context.Context, s *socketio.Socket) {
	user := userOf(s)
	e.tell(webhook.Event{Type: "socket.connected", User: user, Socket: s.ID()})
	e.mu.Lock()
	e.here[user]++
	first := e.here[user] == 1
	delete(e.released, user)
	e.mu.Unlock()
	if first && !e.users.Online(user) {
		e.tell(webhook.Event{Type: "user.online", User: user, Socket: s.ID()})
	}
}

// disconnected is called after the socket is tracked no more.
func (e *events) disconnected(_ context.Context, s *socketio.Socket, reason socketio.Reason) {
	user := userOf(s)
	e.tell(webhook.Event{Type: "socket.disconnected", User: user, Socket: s.ID(), Reason: string(reason)})
	online := e.users.Online(user)
	e.mu.Lock()
	e.here[user]--
	last := e.here[user] <= 0
	if last {
		delete(e.here, user)
	}
	if last && online {
		maps.DeleteFunc(e.released, func(_ string, at time.Time) bool { return time.Since(at) > doubt })
		e.released[user] = time.Now()
	}
	e.mu.Unlock()
	if last && !online {
		e.tell(webhook.Event{Type: "user.offline", User: user})
	}
}

// changed is told of each user's coming and going, on every node.
func (e *events) changed(c presence.Change) {
	if c.Online {
		return // told by connected
	}
	e.mu.Lock()
	at, doubtful := e.released[c.User]
	delete(e.released, c.User)
	crashed := time.Since(e.crash) < crashTime
	e.mu.Unlock()
	if doubtful && time.Since(at) < doubt || crashed && e.least() {
		e.tell(webhook.Event{Type: "user.offline", User: c.User})
	}
}

// least reports whether no other node has a lesser ID.
func (e *events) least() bool {
	self := e.bus.Self().ID.String()
	for _, m := range e.bus.Members() {
		if m.ID.String() < self {
			return false
		}
	}
	return true
}

// clientEvent is a middleware behind all others: what is refused is not told.
func (e *events) clientEvent(_ context.Context, s *socketio.Socket, ev *socketio.Event) error {
	if !e.clients[ev.Name] {
		return nil
	}
	told := webhook.Event{Type: "client.event", User: userOf(s), Socket: s.ID(), Event: ev.Name}
	for _, arg := range ev.Args {
		text, err := json.Marshal(arg)
		if err != nil {
			return socketio.Errorf("invalid", "%s: an argument cannot be passed on", ev.Name)
		}
		told.Args = append(told.Args, text)
	}
	if !e.send(told) {
		return socketio.Errorf("unavailable", "too much waits for the back end")
	}
	return nil
}
