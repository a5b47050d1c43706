package adapter

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// A Transfer is what goes along with a socket from the Log of one node to that
// of another, so that it gets each packet once, wherever it was when the packet
// was broadcast.
type Transfer struct {
	ID     SocketID
	Rooms  []Room        // but its own
	Age    time.Duration // of the socket
	Heard  Vector        // up to where what nodes said is in Missed, or was sent to it
	Missed []Missed      // what it is to get, in order
}

// A Missed is a packet that a socket is to get.
type Missed struct {
	Data       []byte
	NoCompress bool
	Former     []Place // where it stood in other Logs, the latest last
}

// A Place is a Position in the Log of a node.
type Place struct {
	Node string // short id, as Log.Node has it
	At   Position
}

// maxFormer bounds the places of a packet that are told.
const maxFormer = 3

// Export returns what another node's Import needs of a socket of this node, who
// has all up to a Position. It fails as Missed does, and is called within
// Sequence: what follows it is not in it, so that the socket has to go by then.
// Age is left to the caller.
func (g *Log) Export(id SocketID, behind Position, maxPackets int) (*Transfer, error) {
	x := &Transfer{ID: id}
	for _, r := range g.local.Rooms(id) {
		if r != Room(id) {
			x.Rooms = append(x.Rooms, r)
		}
	}
	err := g.missed(id, behind, maxPackets, func(e *entry) {
		former := append(slices.Clip(e.former), Place{g.Node(), e.at})
		x.Missed = append(x.Missed, Missed{
			NoCompress: e.packet.NoCompress,
			Former:     former[max(0, len(former)-maxFormer):],
			Data:       g.opts.Data(e.packet.Shared(nil)),
		})
	})
	if err != nil {
		return nil, err
	}
	slices.Reverse(x.Missed)
	x.Heard = g.Vector()
	g.mu.Lock()
	defer g.mu.Unlock()
	for node, sockets := range g.spare {
		if n, ahead := sockets[id]; ahead {
			x.Heard[node] = max(x.Heard[node], n)
		}
	}
	return x, nil
}

// An Import is what Log.Import made of a Transfer.
type Import struct {
	Start      Position // what follows it the socket is to get
	Disconnect bool     // as a node asked with DisconnectAll,
	Close      bool     // and with the connection
}

// Import adds a socket that has come from another node, as one that is away: see
// Park. What it missed is appended for it alone: all of x.Missed, and then what
// this node has heard that the other had not heard yet. What the other had heard,
// and this one has not, the socket does not get a second time. It fails with
// ErrTrimmed if some of that may not be kept any more, and adds nothing then. It
// is called within Sequence.
func (g *Log) Import(s Socket, x *Transfer) (Import, error) {
	now := time.Now()
	rooms := map[Room]bool{Room(x.ID): true}
	for _, r := range x.Rooms {
		rooms[r] = true
	}
	late, err := g.late(x, now)
	if err != nil {
		return Import{}, err
	}
	in := Import{Start: g.Head()}
	var more []*Packet
	for _, o := range late {
		if !o.target.selects(rooms) {
			continue
		}
		switch o.kind {
		case kindBroadcast:
			more = append(more, o.packet)
		case kindJoin, kindLeave:
			for _, r := range o.rooms {
				if r != Room(x.ID) {
					rooms[r] = o.kind == kindJoin
				}
			}
		case kindDisconnect:
			in.Disconnect, in.Close = true, in.Close || o.close
		}
	}
	var join []Room
	for r, member := range rooms {
		if member && r != Room(x.ID) {
			join = append(join, r)
		}
	}
	slices.Sort(join)
	missed := make([]due, 0, len(x.Missed)+len(more))
	for _, m := range x.Missed {
		missed = append(missed, due{&Packet{Data: m.Data, NoCompress: m.NoCompress}, m.Former})
	}
	for _, p := range more {
		missed = append(missed, due{p, nil})
	}
	g.takeIn(s, join, missed, x.Heard)
	return in, nil
}

// A due is a packet that a socket which comes here is to get.
type due struct {
	packet *Packet
	former []Place
}

// takeIn adds a socket, as one that is away, which has had, or has in missed, all
// that is heard: also of what this node has not heard yet.
func (g *Log) takeIn(s Socket, rooms []Room, missed []due, heard Vector) {
	id := s.ID()
	g.local.mu.Lock()
	g.local.add(s, rooms)
	g.local.mu.Unlock()
	g.Park(id)
	own := Target{Rooms: []Room{Room(id)}}
	for i, d := range missed {
		var text []byte
		if i == len(missed)-1 { // who has it has all of them
			text = g.heardText()
		}
		g.recordFormer(own, d.packet, text, d.former)
	}
	g.ahead(id, heard)
}

func (g *Log) recordFormer(t Target, p *Packet, heard []byte, former []Place) {
	own := g.record(t, p, heard)
	if own == nil || former == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.newest(); e != nil && e.at == own.at {
		e.former = former
	}
}

// Slack is how long ago a socket that is new may have been made before the node
// that it comes from heard of one that it had not heard yet.
const Slack = time.Second

// late returns what this node was told that x.Heard lacks, in order.
func (g *Log) late(x *Transfer, now time.Time) (late []overheard, err error) {
	// What a node said before the other heard of it, and before there was the
	// socket, is not for it. Nor is what it said so long ago that the other has
	// heard it, and has forgotten the node since.
	since := now.Add(-min(x.Age+Slack, g.journal.opts.settled()))
	before := func(o Origin, when time.Time) bool {
		_, known := x.Heard[o.Node]
		return !known && when.Before(since)
	}
	self := Room(x.ID)
	g.mu.Lock()
	defer g.mu.Unlock()
	late, err = g.since(x.Heard, func(o Origin, when time.Time) bool { return !x.Heard.Has(o) && !before(o, when) })
	if err != nil {
		return nil, err
	}
	early := g.early.all()
	for i := range early { // it came ahead of the socket, and nobody has got it
		if o := &early[i]; !o.taken && slices.Contains(o.target.Rooms, self) {
			o.taken = true
			late = append(late, *o)
		}
	}
	slices.SortFunc(late, byPosition)
	return late, nil
}

func byPosition(a, b overheard) int { return cmp.Compare(a.at, b.at) }

// since returns what this node was told that was missed, each node's latest
// first, by who had heard so much. It fails with ErrTrimmed if some of it is not
// kept any more, and needs mu.
func (g *Log) since(heard Vector, missed func(o Origin, when time.Time) bool) (late []overheard, err error) {
	for node, v := range g.heard {
		if v.lost > 0 && missed(Origin{node, v.lost}, v.lostWhen) {
			return nil, fmt.Errorf("%w: what node %s said up to %d, while up to %d had been heard", ErrTrimmed, node, v.lost, heard[node])
		}
		// Backwards, as far as it is missed: the Log may be long.
		for e := g.bySerial(v.entry); e != nil && missed(e.origin, e.when); e = g.bySerial(e.prior) {
			p := &Packet{NoCompress: e.packet.NoCompress, Data: g.opts.Data(e.packet.Shared(nil))}
			late = append(late, overheard{at: e.at, origin: e.origin, kind: kindBroadcast, target: e.target, packet: p})
		}
		for o := g.said.bySerial(v.heard); o != nil && missed(o.origin, o.when); o = g.said.bySerial(o.prior) {
			late = append(late, *o)
		}
	}
	return late, nil
}

// ahead notes what a socket had before it came, and this node has not heard.
func (g *Log) ahead(id SocketID, heard Vector) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for node, number := range heard {
		if o := g.heard[node]; o != nil && o.number >= number {
			continue
		}
		v := g.voice(node)
		if v.when.IsZero() {
			v.when = time.Now()
		}
		if g.spare == nil {
			g.spare = make(map[broker.NodeID]map[SocketID]uint64)
		}
		if g.spare[node] == nil {
			g.spare[node] = make(map[SocketID]uint64)
		}
		g.spare[node][id] = max(g.spare[node][id], number)
	}
}

// Resolve returns where a socket stands that has all up to a Place in the Log of
// a node where it was before: behind the last packet imported for it that was
// there by then, if that is behind start, where its last Import began. It reports
// false if there is none.
func (g *Log) Resolve(id SocketID, start Position, p Place) (at Position, ok bool) {
	own := Room(id)
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := g.n - 1; i >= 0; i-- {
		e := g.at(i)
		if e.at <= start {
			break
		}
		if len(e.former) == 0 || len(e.target.Rooms) != 1 || e.target.Rooms[0] != own {
			continue
		}
		// It may have been in that Log more than once, and stood elsewhere when it
		// was there for the first time.
		for _, f := range slices.Backward(e.former) {
			if f.Node != p.Node {
				continue
			}
			if f.At <= p.At {
				return e.at, true
			}
			break
		}
	}
	return 0, false
}

// Append appends x's form on the wire:
//
//	transfer  id str · rooms list · age ms uvarint · heard list · missed list
//	heard     node 16 bytes · number uvarint
//	missed    flags u8 · former list · data str
//	former    node str · position uvarint
func (x *Transfer) Append(b []byte) []byte {
	b = appendString(b, x.ID)
	b = appendRooms(b, x.Rooms)
	b = binary.AppendUvarint(b, uint64(max(0, x.Age.Milliseconds())))
	b = binary.AppendUvarint(b, uint64(len(x.Heard)))
	for node, number := range x.Heard {
		b = append(b, node[:]...)
		b = binary.AppendUvarint(b, number)
	}
	b = binary.AppendUvarint(b, uint64(len(x.Missed)))
	for i := range x.Missed {
		m := &x.Missed[i]
		var flags byte
		if m.NoCompress {
			flags |= flagNoCompress
		}
		b = append(b, flags)
		b = binary.AppendUvarint(b, uint64(len(m.Former)))
		for _, p := range m.Former {
			b = binary.AppendUvarint(appendString(b, p.Node), uint64(p.At))
		}
		b = appendString(b, m.Data)
	}
	return b
}

var errTransfer = fmt.Errorf("%w: transfer of a socket", errMalformed)

// DecodeTransfer is the inverse of Append, and returns what follows it. The
// Transfer aliases b.
func DecodeTransfer(b []byte) (x *Transfer, rest []byte, err error) {
	d := decoder{b: b}
	x = &Transfer{ID: SocketID(d.bytes()), Rooms: d.rooms()}
	age := d.number()
	if age > uint64(1<<62)/uint64(time.Millisecond) {
		return nil, nil, errTransfer
	}
	x.Age = time.Duration(age) * time.Millisecond
	n := d.count()
	x.Heard = make(Vector, min(n, 1024))
	for range n {
		var node broker.NodeID
		if copy(node[:], d.take(len(node))); d.bad {
			return nil, nil, errTransfer
		}
		x.Heard[node] = d.number()
	}
	for range d.count() {
		m := Missed{NoCompress: d.byte()&flagNoCompress != 0}
		former := d.count()
		if former > maxFormer {
			return nil, nil, errTransfer
		}
		for range former {
			if m.Former = append(m.Former, Place{string(d.bytes()), Position(d.number())}); d.bad {
				return nil, nil, errTransfer
			}
		}
		if m.Data = d.bytes(); d.bad {
			return nil, nil, errTransfer
		}
		x.Missed = append(x.Missed, m)
	}
	if d.bad {
		return nil, nil, errTransfer
	}
	return x, d.b, nil
}
