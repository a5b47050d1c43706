package announce

import (
	"slices"
	"strings"
	"sync"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/socketio"
)

// In the mode Rooms a second Tracker follows pairs: a user is present in a room
// from its first device there, on any node, until the last one has gone. So
// graces, crashes and cuts are treated alike for users and for rooms.

// A place is a room of a namespace.
type place struct{ room, in string } // in is what inNamespace says

// pair names a place and a user. Names have no control characters.
func pair(p place, user string) string { return p.room + "\x00" + user + p.in }

func unpair(id string) (p place, user string) {
	p.room, user, _ = strings.Cut(id, "\x00")
	if i := strings.IndexByte(user, 0); i >= 0 {
		user, p.in = user[:i], user[i:]
	}
	return p, user
}

// An index is who is in which room, on all nodes.
type index struct {
	mu    sync.Mutex // guards rooms
	rooms map[place]map[string]struct{}
	seq   uint64 // of the last change in it
}

func (x *index) apply(c presence.Change) {
	room, user := unpair(c.User)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.seq = c.Seq
	switch c.Kind {
	case presence.Online:
		if x.rooms[room] == nil {
			x.rooms[room] = make(map[string]struct{})
		}
		x.rooms[room][user] = struct{}{}
	case presence.Offline:
		if delete(x.rooms[room], user); len(x.rooms[room]) == 0 {
			delete(x.rooms, room)
		}
	}
}

// fill reads all that there is. It is called before changes are applied, or
// among them.
func (x *index) fill(t *presence.Tracker, seq uint64) {
	rooms := make(map[place]map[string]struct{})
	for u := range t.All() {
		room, user := unpair(u.ID)
		if rooms[room] == nil {
			rooms[room] = make(map[string]struct{})
		}
		rooms[room][user] = struct{}{}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.rooms, x.seq = rooms, max(x.seq, seq)
}

// members returns at most limit users of a room and how many there are.
func (x *index) members(room place, limit int) (users []string, total int, seq uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for u := range x.rooms[room] {
		if len(users) == limit {
			break
		}
		users = append(users, u)
	}
	return users, len(x.rooms[room]), x.seq
}

// watchRooms has the pairs followed.
func (a *Announcer) watchRooms() {
	a.index = &index{rooms: make(map[place]map[string]struct{})}
	a.inRooms = newPace(a.tellRooms, budget(a.opts.Window))
	seq, stop := a.opts.Rooms.Watch(func(c presence.Change) {
		if c.Kind == presence.Reset {
			a.index.fill(a.opts.Rooms, c.Seq)
			a.tellState()
			return
		}
		a.index.apply(c)
		if c.Kind != presence.Updated {
			a.inRooms.add(c)
		}
	})
	a.index.fill(a.opts.Rooms, seq) // what changes meanwhile is applied twice, which is harmless
	a.stops = append(a.stops, stop)
}

func (a *Announcer) watchRoomsOf(io *socketio.Namespace) (stop func()) {
	return io.WatchRooms(adapter.RoomHooks{
		Joined: func(room adapter.Room, id adapter.SocketID) { a.joined(string(room), string(id)) },
		Left:   func(room adapter.Room, id adapter.SocketID) { a.left(string(room), string(id)) },
	})
}

// placeOf returns the place that a socket knows by a room's name.
func placeOf(s *socketio.Socket, name string) place {
	return place{name, inNamespace(s.Namespace().Name())}
}

// joined tracks the pair of a room and a socket's user.
func (a *Announcer) joined(room, id string) {
	name, ok := a.opts.Room(room)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.clients[id]
	if c == nil || c.inRooms[room] != nil {
		return
	}
	hold, err := a.opts.Rooms.Track(pair(placeOf(c.socket, name), c.user), c.device, presence.Meta{})
	if err != nil {
		a.opts.Logger.Error("presence in a room not tracked", "room", name, "socket", id, "error", err)
		return
	}
	if c.inRooms == nil {
		c.inRooms = make(map[string]*presence.Hold)
	}
	c.inRooms[room] = hold
}

// left lets a pair go, unless the socket leaves all its rooms because it ends:
// that is for Disconnected.
func (a *Announcer) left(room, id string) {
	a.mu.Lock()
	c := a.clients[id]
	if c == nil || !c.socket.Connected() {
		a.mu.Unlock()
		return
	}
	hold := c.inRooms[room]
	delete(c.inRooms, room)
	a.mu.Unlock()
	if hold != nil {
		hold.Leave()
	}
}

// tellRooms tells the members of rooms of each other.
func (a *Announcer) tellRooms(cs []presence.Change) (frames int) {
	a.mu.Lock()
	namespaces := make(map[string]*socketio.Namespace, len(a.namespaces))
	for name, n := range a.namespaces {
		namespaces[inNamespace(name)] = n.Namespace
	}
	a.mu.Unlock()
	for _, c := range cs {
		at, user := unpair(c.User)
		n := namespaces[at.in]
		if n == nil {
			continue // no client of this node is there
		}
		c.User = user
		event, e := eventOf(c)
		e.Room = at.room
		frames += a.emitIn(n, []string{a.opts.RoomName(at.room)}, event, e)
	}
	return frames
}

// inRoom reports whether a socket is a member of a room that clients know by
// that name.
func (a *Announcer) inRoom(s *socketio.Socket, name string) bool {
	return slices.Contains(s.Rooms(), a.opts.RoomName(name))
}
