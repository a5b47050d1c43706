// Package announce tells Socket.IO clients who is here: it keeps each socket's
// place in the presence of its user, and passes changes on to those who are to
// hear of them, in one of several modes.
package announce

import (
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/socketio"
)

// A Mode says which clients hear of which users.
type Mode string

// The modes.
const (
	All    Mode = "all"    // everyone hears of everyone
	Rooms  Mode = "rooms"  // the members of a room hear of each other
	Watch  Mode = "watch"  // a client hears of the users that it asked for
	Counts Mode = "counts" // everyone hears how many there are
	Off    Mode = "off"    // presence is neither kept nor told
)

// Options tune an Announcer.
type Options struct {
	Mode Mode // Default: All.

	// Window bounds how long changes are gathered before clients are told, so
	// that what cancels out is never told. They are told at once while that
	// costs little: telling takes a third of a core at most, as long as Window
	// allows. Counts are told once per Window. Default: 500ms.
	Window time.Duration

	// MaxUsers is with how many users online the mode All falls to Counts, until
	// there are a fifth fewer. Default: 10000.
	MaxUsers int

	// MaxWatch bounds the users that one client watches, and those that it
	// asks for at once. Default: 1000.
	MaxWatch int

	// Rooms follows the pairs of rooms and users. The mode Rooms needs it.
	Rooms *presence.Tracker

	// Room returns the name by which clients know a room of the adapter, and
	// false for one that is not theirs. RoomName is its inverse. The mode Rooms
	// needs both.
	Room     func(adapterRoom string) (name string, ok bool)
	RoomName func(name string) (adapterRoom string)

	// Blind reports whether a socket may not see presence. Default: all may.
	Blind func(*socketio.Socket) bool

	Logger *slog.Logger // Default: slog.Default().
	Hooks  Hooks
}

// Hooks observe an Announcer. They must not block. A nil field is skipped.
type Hooks struct {
	Told     func(event string, sockets int) // an event was sent to so many clients of this node
	Switched func(to Mode)                   // All fell to Counts, or is back
	Replaced func()                          // a device's older socket was disconnected
}

func (o *Options) fill() {
	if o.Mode == "" {
		o.Mode = All
	}
	if o.Window <= 0 {
		o.Window = 500 * time.Millisecond
	}
	if o.MaxUsers <= 0 {
		o.MaxUsers = 10_000
	}
	if o.MaxWatch <= 0 {
		o.MaxWatch = 1000
	}
	if o.Blind == nil {
		o.Blind = func(*socketio.Socket) bool { return false }
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// An Announcer is what the clients of this node know of presence. All methods
// may be called concurrently.
type Announcer struct {
	users *presence.Tracker
	node  string
	opts  Options
	stops []func() // of what was registered

	changes *pace  // of users
	inRooms *pace  // of users in rooms; nil but in the mode Rooms
	index   *index // who is in which room; nil but in the mode Rooms
	counts  *pace  // how many there are

	mu         sync.Mutex                 // guards all below
	mode       Mode                       // the one in force
	clients    map[string]*client         // by socket ID
	holds      map[*presence.Hold]*client // by the place of its device
	watched    map[string]int             // users, and by how many clients
	namespaces map[string]*namespace      // by name, those that have clients
}

// A namespace has clients of ours.
type namespace struct {
	*socketio.Namespace
	clients int
	stop    func() // of the watch on its rooms
}

// A client is a socket and what it holds. Its fields are guarded by
// Announcer.mu.
type client struct {
	socket  *socketio.Socket
	user    string
	device  string
	meta    presence.Meta
	hold    *presence.Hold
	inRooms map[string]*presence.Hold // by the adapter's rooms; nil but in the mode Rooms
	watches map[string]struct{}
}

// New returns an Announcer. node is this node's name. Close it before users is
// closed.
func New(users *presence.Tracker, node string, opts Options) *Announcer {
	opts.fill()
	a := &Announcer{
		users: users, node: node, opts: opts, mode: opts.Mode,
		clients: make(map[string]*client), holds: make(map[*presence.Hold]*client), watched: make(map[string]int),
		namespaces: make(map[string]*namespace),
	}
	if opts.Mode == Off {
		return a
	}
	a.changes = newPace(a.tell, budget(opts.Window))
	a.counts = newPace(a.tellCounts, func(int) time.Duration { return max(opts.Window, minWindow) })
	_, stop := users.Watch(a.changed)
	_, stopState := users.WatchState(func(presence.State) { a.tellState() })
	a.stops = append(a.stops, stop, stopState, users.WatchReplaced(a.replaced))
	if opts.Mode == Rooms {
		a.watchRooms()
	}
	return a
}

// Close tells nothing more. The places of sockets that are still connected stay
// as they are.
func (a *Announcer) Close() {
	for _, stop := range a.stops {
		stop()
	}
	a.mu.Lock()
	for _, n := range a.namespaces {
		defer n.stop()
	}
	a.mu.Unlock()
	for _, p := range []*pace{a.changes, a.inRooms, a.counts} {
		if p != nil {
			p.close()
		}
	}
}

// Connected takes a socket in: its user has one more device. An empty device
// is one of its own, named by the socket's ID; another socket of the same
// device in the same namespace, on whatever node, is disconnected.
func (a *Announcer) Connected(s *socketio.Socket, user, device string) {
	if a.opts.Mode == Off {
		return
	}
	a.mu.Lock()
	a.enter(s.Namespace())
	a.mu.Unlock()
	a.See(s)
	a.emitState(s) // what changes after it is told to the namespace, as it is counted in
	if device == "" {
		device = s.ID()
	}
	c := &client{socket: s, user: user, device: device + inNamespace(s.Namespace().Name())}
	a.mu.Lock() // before Track, as replaced looks for the hold
	hold, err := a.users.Track(user, c.device, c.meta)
	if err != nil {
		stop := a.exit(s.Namespace())
		a.mu.Unlock()
		stop()
		a.opts.Logger.Error("presence not tracked", "socket", s.ID(), "error", err)
		return
	}
	c.hold = hold
	a.clients[s.ID()], a.holds[hold] = c, c
	a.mu.Unlock()
	if a.opts.Mode == Rooms {
		for _, room := range s.Rooms() { // joined before we knew it
			a.joined(room, s.ID())
		}
	}
}

// See has a socket told of presence, or not any more, as Options.Blind has it
// now.
func (a *Announcer) See(s *socketio.Socket) {
	if a.opts.Mode == Off {
		return
	}
	if !a.opts.Blind(s) {
		s.Leave(blindRoom)
		return
	}
	s.Join(blindRoom)
}

// enter counts a client in. It needs mu.
func (a *Announcer) enter(io *socketio.Namespace) {
	n := a.namespaces[io.Name()]
	if n == nil || n.Namespace != io {
		n = &namespace{Namespace: io, stop: func() {}}
		if a.opts.Mode == Rooms {
			n.stop = a.watchRoomsOf(io)
		}
		a.namespaces[io.Name()] = n
	}
	n.clients++
}

// exit counts a client out. It needs mu; stop is to be called without.
func (a *Announcer) exit(io *socketio.Namespace) (stop func()) {
	n := a.namespaces[io.Name()]
	if n == nil || n.Namespace != io {
		return func() {}
	}
	if n.clients--; n.clients > 0 {
		return func() {}
	}
	delete(a.namespaces, io.Name())
	return n.stop
}

// inNamespace is what sets the devices, and the rooms, of a namespace apart
// from those of others, whose names may be too long for an ID: nothing for "/".
func inNamespace(name string) string {
	if name == "/" {
		return ""
	}
	sum := sha256.Sum256([]byte(name))
	return "\x00" + base64.RawURLEncoding.EncodeToString(sum[:6])
}

// Disconnected lets a socket go: at once if it said goodbye or was sent away,
// and else after the grace.
func (a *Announcer) Disconnected(s *socketio.Socket, reason socketio.Reason) {
	a.mu.Lock()
	c := a.clients[s.ID()]
	if c == nil {
		a.mu.Unlock()
		return
	}
	delete(a.clients, s.ID())
	delete(a.holds, c.hold)
	for user := range c.watches {
		a.unwatch(c, user)
	}
	holds := []*presence.Hold{c.hold}
	for _, h := range c.inRooms {
		holds = append(holds, h)
	}
	stop := a.exit(s.Namespace())
	a.mu.Unlock()
	stop()
	for _, h := range holds {
		switch reason {
		case socketio.ReasonClient, socketio.ReasonServer:
			h.Leave()
		default:
			h.Lose()
		}
	}
}

// replaced disconnects the older socket of a device that came back.
func (a *Announcer) replaced(r presence.Replaced) {
	a.mu.Lock()
	old := a.holds[r.Hold]
	a.mu.Unlock()
	if old == nil {
		return // it has gone by itself
	}
	if f := a.opts.Hooks.Replaced; f != nil {
		f()
	}
	device, _, _ := strings.Cut(r.Device, "\x00")
	_ = old.socket.Emit("session:replaced", struct {
		Device   string `json:"device"`
		Instance string `json:"instance"`
	}{device, r.By.Name}) // it may have gone meanwhile
	old.socket.Disconnect(true)
}
