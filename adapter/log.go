package adapter

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A Recorder is an Adapter that can keep what it delivers, for sockets whose
// clients are away for a moment: a Local is one, and so are those of a Cluster.
type Recorder interface {
	Adapter

	// Record begins, before the first socket is added. It returns the
	// namespace's Log, the same one at every call.
	Record(j *Journal, opts LogOptions) *Log
}

var (
	_ Recorder = (*Local)(nil)
	_ Recorder = (*clustered)(nil)
)

// LogOptions say how a Log keeps packets.
type LogOptions struct {
	// Build makes the form in which the layer above writes a packet to its
	// clients, which is what is kept of it, and tells its size in bytes; nil
	// refuses it, and nobody gets it. Sockets find it by Packet.Shared, as if
	// they had built it. at is the packet's Position or, if it is volatile and
	// so has none, that of the packet before. heard tells up to where whoever has
	// the packet has heard of every node, for Log.ParseHeard; it is of letters,
	// digits, '-', '_' and '~', empty where that is not known, and must not be
	// kept.
	Build func(data []byte, at Position, heard []byte, noCompress bool) (form any, size int)

	// Data is the inverse of Build: the packet's data again. Export and Import
	// need it.
	Data func(form any) []byte

	// Evicted, if set, is called with the number of packets that were given up
	// for want of space before their time. It must not block.
	Evicted func(packets int)
}

// A Log is what one namespace has delivered to the sockets of this node
// lately. While it is kept, one thing at a time happens in the namespace:
// packets are delivered and rooms change under one lock, the sequencer's, so
// that all sockets see one order and the Log has the same. Socket.Deliver is
// called under it, and so must not call what needs it.
//
// All methods may be called concurrently, but for those that say otherwise.
type Log struct {
	journal *Journal
	local   *Local
	opts    LogOptions

	seq sync.Mutex // the sequencer's; held while sockets, who never block, are handed a packet

	mu      sync.Mutex // guards all below; a leaf
	entries []entry    // a ring of n, oldest at first
	first   int
	n       int
	dropped uint64   // entries that there were before
	head    Position // of the newest packet there was
	trimmed Position // of the newest packet that is no more kept
	bytes   int      // of all, those of the three below among them
	said    overhear
	early   overhear
	directs directs
	vectors

	began time.Time
	text  []byte // of heardText; used under seq
}

var (
	// ErrTrimmed says that a Log does not reach back so far.
	ErrTrimmed = errors.New("adapter: no longer kept")

	// ErrTooMuch says that more was missed than was asked for.
	ErrTooMuch = errors.New("adapter: too much was missed")
)

// Record implements Recorder.
func (l *Local) Record(j *Journal, opts LogOptions) *Log {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.log.Load(); g != nil {
		return g
	}
	g := &Log{journal: j, local: l, opts: opts, began: time.Now()}
	g.head = Position(j.last.Load())
	g.trimmed = g.head
	l.log.Store(g)
	j.add(g)
	return g
}

// Node names the node that keeps the Log: with the short id that its sockets'
// ids begin with or, without a cluster, with a random one.
func (g *Log) Node() string {
	if g.local.prefix != "" {
		return g.local.prefix
	}
	return g.journal.node
}

// Bytes returns about how much memory the Log takes.
func (g *Log) Bytes() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bytes
}

// Len returns the number of packets and changes of rooms that are kept.
func (g *Log) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

// Head returns the Position of the newest packet.
func (g *Log) Head() Position {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.head
}

// Sequence calls f while nothing else happens in the namespace. f may add
// sockets and call Missed, but not broadcast, nor make sockets join or leave.
func (g *Log) Sequence(f func()) {
	g.seq.Lock()
	defer g.told() // when all else may go on
	defer g.seq.Unlock()
	f()
}

// Release is Remove within Sequence.
func (g *Log) Release(id SocketID) {
	l := g.local
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(id)
}

// told tells those who watch the rooms of changes that were made under the
// sequencer.
func (g *Log) told() {
	g.local.mu.Lock()
	defer g.local.unlock()
}

// Post is Broadcast to one socket of this node. It reports whether there is such
// a socket, and what its Deliver did.
func (g *Log) Post(id SocketID, p *Packet) (known, delivered bool) {
	g.seq.Lock()
	defer g.seq.Unlock()
	l := g.local
	l.mu.RLock()
	m := l.sockets[id]
	l.mu.RUnlock()
	if m == nil {
		return false, false
	}
	p = g.record(Target{Rooms: []Room{Room(id)}}, p, g.heardText())
	return true, p != nil && m.socket.Deliver(p)
}

// Park makes a socket of this node one that is away: a member of its rooms
// still, to whom all is delivered, but whom nobody counts or finds. Return
// undoes it.
func (g *Log) Park(id SocketID) { g.local.setAway(id, true) }

// Return undoes Park.
func (g *Log) Return(id SocketID) { g.local.setAway(id, false) }

// deliver is Local.deliver, of what tell, unless nil, tells other nodes. It
// needs seq.
func (g *Log) deliver(t Target, p *Packet, tell func() Origin) (n int) {
	origin := p.origin
	if !p.routed { // else no other node has it
		t = g.unless(t, origin)
	}
	if tell != nil { // first, as those who get the packet have heard its number
		origin = tell()
	}
	g.mu.Lock()
	g.hear(origin, time.Now())
	g.mu.Unlock()
	var own *Packet
	concerned := false
	g.local.each(t, func(m *member) {
		if !concerned { // what nobody was to get, nobody missed
			concerned = true
			own = g.record(t, p, g.heardText())
		}
		if own != nil && m.socket.Deliver(own) {
			n++
		}
	})
	kept := own != nil && !p.Volatile
	if kept && !p.routed && origin.known() {
		g.mu.Lock()
		if e := g.newest(); e != nil && e.at == own.at {
			g.attribute(e, origin)
		} else { // too large to be kept at all
			g.lose(origin, time.Now())
		}
		g.mu.Unlock()
	}
	if !kept && !p.Volatile {
		g.overhear(overheard{origin: origin, routed: p.routed, kind: kindBroadcast, target: t, packet: p})
	}
	return n
}

// record gives a packet its Position and keeps it. It returns a Packet of the
// Log's own, since the caller's may be broadcast again, or nil if it can't be
// built. It needs seq.
func (g *Log) record(t Target, p *Packet, heard []byte) *Packet {
	own := &Packet{Volatile: p.Volatile, NoCompress: p.NoCompress}
	at := g.Head()
	if !p.Volatile {
		own.at = Position(g.journal.last.Add(1))
		at = own.at
	}
	form, size := g.opts.Build(p.Data, at, heard, p.NoCompress)
	if form == nil {
		return nil
	}
	own.Shared(func([]byte) any { return form })
	if !p.Volatile {
		g.append(entry{at: at, packet: own, target: t, size: size + targetSize(t) + entryCost})
	}
	return own
}

// A Roomer is a Socket of a namespace with a Log that is told of its rooms.
type Roomer interface {
	Socket

	// RoomChanged follows each room that the socket has joined or left since it
	// was added. It is called under locks of the Adapter, and must not call it.
	RoomChanged(room Room, joined bool)
}

// sequence returns the Log, with its sequencer locked, if there is one.
func (l *Local) sequence() *Log {
	g := l.log.Load()
	if g != nil {
		g.seq.Lock()
	}
	return g
}

// proceed undoes sequence.
func (g *Log) proceed() {
	if g != nil {
		g.seq.Unlock()
	}
}

// changed keeps the change of a socket's room. It needs seq.
func (g *Log) changed(s Socket, room Room, joined bool) {
	if g == nil {
		return
	}
	id := s.ID()
	if r, ok := s.(Roomer); ok {
		r.RoomChanged(room, joined)
	}
	g.append(entry{id: id, target: Target{Rooms: []Room{room}}, joined: joined, size: entryCost + len(room)})
}

// Missed returns what a socket of this node was sent behind a Position, in
// order: the packets whose Target selected it when they were delivered. It
// fails with ErrTrimmed if some of them may not be kept any more, and with
// ErrTooMuch if they are more than maxPackets. It is called within Sequence.
func (g *Log) Missed(id SocketID, behind Position, maxPackets int) ([]*Packet, error) {
	var missed []*Packet
	err := g.missed(id, behind, maxPackets, func(e *entry) { missed = append(missed, e.packet) })
	if err != nil {
		return nil, err
	}
	slices.Reverse(missed)
	return missed, nil
}

// missed is Missed that has f called for each packet, the last one first.
func (g *Log) missed(id SocketID, behind Position, maxPackets int, f func(*entry)) error {
	rooms := make(map[Room]bool)
	for _, r := range g.local.Rooms(id) {
		rooms[r] = true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if behind < g.trimmed {
		return fmt.Errorf("%w: what follows %d, it begins behind %d", ErrTrimmed, behind, g.trimmed)
	}
	n := 0
	// Backwards, so that the rooms of now become those of then.
	for i := g.n - 1; i >= 0; i-- {
		e := g.at(i)
		switch {
		case e.at <= behind:
			i = 0
		case e.packet == nil:
			if e.id == id {
				rooms[e.target.Rooms[0]] = !e.joined
			}
		case e.target.selects(rooms):
			if n++; n > maxPackets {
				return fmt.Errorf("%w: over %d packets", ErrTooMuch, maxPackets)
			}
			f(e)
		}
	}
	return nil
}

// selects reports whether t selects a socket that is in rooms.
func (t *Target) selects(rooms map[Room]bool) bool {
	return t.selectsWhere(func(r Room) bool { return rooms[r] })
}

func (t *Target) selectsWhere(member func(Room) bool) bool {
	return (len(t.Rooms) == 0 || slices.ContainsFunc(t.Rooms, member)) && !slices.ContainsFunc(t.Except, member)
}
