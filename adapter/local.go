package adapter

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"slices"
	"sync"
	"sync/atomic"
)

// Local is an Adapter, and a Watcher, of one process.
type Local struct {
	prefix string          // what ids begin with
	life   context.Context // ends in Close
	end    context.CancelFunc
	nodes  atomic.Pointer[NodeHandler]
	log    atomic.Pointer[Log] // nil unless Record was called

	mu      sync.RWMutex // guards all below
	closed  bool
	sockets map[SocketID]*member
	all     []*member
	rooms   map[Room]*room
	watched watched
}

var _ Watcher = (*Local)(nil)

// member is a socket and where it stands in which rooms.
type member struct {
	socket Socket
	id     SocketID
	all    int // index in Local.all
	in     places
	away   bool // see Log.Park
}

// room keeps its members dense, so that a broadcast walks a slice.
type room struct {
	name    Room
	members []*member
	away    int // how many of them are; see Log.Park
}

// NewLocal returns an empty Local.
func NewLocal() *Local { return newLocal("") }

func newLocal(prefix string) *Local {
	l := &Local{
		prefix:  prefix,
		sockets: make(map[SocketID]*member),
		rooms:   make(map[Room]*room),
	}
	l.life, l.end = context.WithCancel(context.Background())
	return l
}

// idLen is the length of a SocketID, that of Socket.IO for Node.
const idLen = 20

// NewID implements Adapter.
func (l *Local) NewID() SocketID {
	var raw [15]byte
	rand.Read(raw[:])
	random := base64.RawURLEncoding.EncodeToString(raw[:])
	return SocketID(l.prefix + random[len(l.prefix):])
}

// Add implements Adapter.
func (l *Local) Add(s Socket, rooms ...Room) {
	l.mu.Lock()
	defer l.unlock()
	l.add(s, rooms)
}

// add needs mu.
func (l *Local) add(s Socket, rooms []Room) {
	id := s.ID()
	if l.closed {
		return
	}
	l.remove(id)
	m := &member{socket: s, id: id, all: len(l.all)}
	l.sockets[id] = m
	l.all = append(l.all, m)
	own := Room(id)
	if l.rooms[own] == nil {
		l.note(roomCreated, own, "")
	}
	l.note(roomJoined, own, id)
	l.join(m, rooms, nil)
}

// Remove implements Adapter.
func (l *Local) Remove(id SocketID) {
	l.mu.Lock()
	defer l.unlock()
	l.remove(id)
}

// remove needs mu.
func (l *Local) remove(id SocketID) {
	m := l.sockets[id]
	if m == nil {
		return
	}
	m.in.each(func(r *room) bool {
		l.leave(m, r, nil)
		return true
	})
	last := l.all[len(l.all)-1]
	l.all[m.all], last.all = last, m.all
	l.all[len(l.all)-1] = nil
	l.all = l.all[:len(l.all)-1]
	delete(l.sockets, id)
	own := Room(id)
	l.note(roomLeft, own, id)
	if l.rooms[own] == nil {
		l.note(roomDeleted, own, "")
	}
}

// batch is how many rooms a socket joins or leaves while all else waits.
const batch = 1024

// Join implements Adapter.
func (l *Local) Join(id SocketID, rooms ...Room) {
	for len(rooms) > 0 {
		n := min(batch, len(rooms))
		l.joinBatch(id, rooms[:n])
		rooms = rooms[n:]
	}
}

func (l *Local) joinBatch(id SocketID, rooms []Room) {
	g := l.sequence()
	l.mu.Lock()
	defer l.unlock()
	defer g.proceed() // before the watchers are told
	if m := l.sockets[id]; m != nil {
		l.join(m, rooms, g)
	}
}

// join needs mu. g, unless nil, keeps what changes.
func (l *Local) join(m *member, rooms []Room, g *Log) {
	for _, name := range rooms {
		if name == Room(m.id) {
			continue // its own room is not stored
		}
		r := l.rooms[name]
		if r == nil {
			r = &room{name: name}
			l.rooms[name] = r
			if l.sockets[SocketID(name)] == nil { // else it is a socket's own, and was there
				l.note(roomCreated, name, "")
			}
		}
		if _, in := m.in.find(r); !in {
			m.in.put(r, len(r.members))
			r.members = append(r.members, m)
			if m.away {
				r.away++
			}
			l.note(roomJoined, name, m.id)
			g.changed(m.socket, name, true)
		}
	}
}

// Leave implements Adapter.
func (l *Local) Leave(id SocketID, rooms ...Room) {
	for len(rooms) > 0 {
		n := min(batch, len(rooms))
		l.leaveBatch(id, rooms[:n])
		rooms = rooms[n:]
	}
}

func (l *Local) leaveBatch(id SocketID, rooms []Room) {
	g := l.sequence()
	l.mu.Lock()
	defer l.unlock()
	defer g.proceed() // before the watchers are told
	m := l.sockets[id]
	if m == nil {
		return
	}
	for _, name := range rooms {
		if r := l.rooms[name]; r != nil {
			l.leave(m, r, g)
		}
	}
}

// leave needs mu. g, unless nil, keeps what changes.
func (l *Local) leave(m *member, r *room, g *Log) {
	i, in := m.in.find(r)
	if !in {
		return
	}
	n := len(r.members) - 1
	last := r.members[n]
	r.members[i] = last
	last.in.put(r, i)
	r.members[n] = nil
	r.members = r.members[:n]
	m.in.drop(r)
	if m.away {
		r.away--
	}
	l.note(roomLeft, r.name, m.id)
	g.changed(m.socket, r.name, false)
	if n == 0 {
		delete(l.rooms, r.name)
		if l.sockets[SocketID(r.name)] == nil {
			l.note(roomDeleted, r.name, "")
		}
	}
}

// Rooms implements Adapter.
func (l *Local) Rooms(id SocketID) []Room {
	l.mu.RLock()
	defer l.mu.RUnlock()
	m := l.sockets[id]
	if m == nil {
		return nil
	}
	return m.rooms()
}

// rooms needs the Local's mu.
func (m *member) rooms() []Room {
	rooms := make([]Room, 0, m.in.len()+1)
	rooms = append(rooms, Room(m.id))
	m.in.each(func(r *room) bool {
		rooms = append(rooms, r.name)
		return true
	})
	slices.Sort(rooms)
	return rooms
}

// Broadcast implements Adapter. It fails with ErrClosed only.
func (l *Local) Broadcast(t Target, p *Packet) error {
	r := l.Deliver(t, p)
	return r.err
}

// Deliver implements Adapter.
func (l *Local) Deliver(t Target, p *Packet) *Receipt {
	n, err := l.deliver(t, p)
	return &Receipt{local: n, err: err}
}

func (l *Local) deliver(t Target, p *Packet) (int, error) {
	g := l.sequence()
	defer g.proceed()
	return l.hand(g, t, p, nil)
}

// hand is deliver with the sequencer of g, unless it is nil, locked: a Log then
// calls tell, unless nil, to have other nodes told of the packet, too.
func (l *Local) hand(g *Log, t Target, p *Packet, tell func() Origin) (int, error) {
	if l.isClosed() {
		return 0, ErrClosed
	}
	if g != nil {
		return g.deliver(t, p, tell), nil
	}
	n := 0
	l.each(t, func(m *member) {
		if m.socket.Deliver(p) {
			n++
		}
	})
	return n, nil
}

// Fetch implements Adapter. It fails with ErrClosed only.
func (l *Local) Fetch(_ context.Context, t Target) ([]Info, error) {
	if l.isClosed() {
		return nil, ErrClosed
	}
	var infos []Info
	l.each(t, func(m *member) {
		if info, here := l.info(m); here {
			infos = append(infos, info)
		}
	})
	return infos, nil
}

// Count implements Adapter. It fails with ErrClosed only.
func (l *Local) Count(_ context.Context, t Target) (int, error) {
	if l.isClosed() {
		return 0, ErrClosed
	}
	buf := selections.Get().(*[]*member)
	l.mu.RLock()
	selected := l.selected(t, (*buf)[:0])
	n := 0
	for _, m := range selected {
		if !m.away {
			n++
		}
	}
	l.mu.RUnlock()
	clear(selected)
	*buf = selected
	selections.Put(buf)
	return n, nil
}

// JoinAll implements Adapter. It fails with ErrClosed only.
func (l *Local) JoinAll(t Target, rooms ...Room) error {
	return l.change(t, func(m *member) { l.Join(m.id, rooms...) })
}

// LeaveAll implements Adapter. It fails with ErrClosed only.
func (l *Local) LeaveAll(t Target, rooms ...Room) error {
	return l.change(t, func(m *member) { l.Leave(m.id, rooms...) })
}

// DisconnectAll implements Adapter. It fails with ErrClosed only.
func (l *Local) DisconnectAll(t Target, close bool) error {
	return l.change(t, func(m *member) { m.socket.Disconnect(close) })
}

func (l *Local) change(t Target, f func(*member)) error {
	if l.isClosed() {
		return ErrClosed
	}
	l.each(t, f)
	return nil
}

// Close implements Adapter.
func (l *Local) Close() error {
	l.end()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if g := l.log.Load(); g != nil {
		g.close()
	}
	clear(l.sockets)
	clear(l.rooms)
	l.all = nil
	l.watched = watched{}
	return nil
}

func (l *Local) isClosed() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.closed
}
