package adapter

import "encoding/binary"

// What nodes say about rooms, on the bus channel "adapter":
//
//	message  kind u8 · flags u8 · namespace str · rooms list · except list · body
//	str      uvarint length · bytes
//	list     uvarint count · str…
//
// The body of a broadcast is the packet's data, that of join and leave the
// list of rooms to join or leave, that of tell what the namespace's NodeHandler
// is told, and that of peer topic str · what the topic's PeerHandler is told.
// Requests are answered with a uvarint count, unless it is said.
//
// An ask is a request that bears a number of the asker's: its body is number
// uvarint · packet's data. Each socket that was asked becomes a message to the
// asker, before or after the count: number uvarint · socket str · outcome u8 ·
// answer; the outcome is 0 if the socket went without one. An ask of nodes is
// the same with the node in place of its sockets: the count is 1, or 0 where
// nobody handles it, the answer's socket is empty, and with an outcome of 2 the
// answer is the text of the node's error.
//
// A fetch and a request for rooms bear a number, too, and nothing else. They
// are answered page by page: more u8 · item…, where an item is (id str · rooms
// list · data str) or (room str · members uvarint). While more is 1, the
// asker requests the next page with the number alone.
//
// A forget, of the asker, names the number of an ask to whose answers it has
// ceased to listen, or of what it takes no more pages of. Answer, forget and
// the request for the next page have no namespace, rooms or exceptions.
//
// With flagTraced the last of the exceptions is no room, but the Trace of the
// packet: to a node that does not know the flag it is a room that nobody is in.
//
// A kind that a node does not know is refused if it asks, and else dropped;
// a flag that it does not know has no effect.
type kind byte

const (
	kindBroadcast kind = iota + 1
	kindDeliver        // request: broadcast, answered with the number of sockets
	kindFetch          // request
	kindCount          // request
	kindJoin
	kindLeave
	kindDisconnect
	kindAsk // request
	kindAnswer
	kindForget
	kindRooms    // request
	kindNextPage // request
	kindTell
	kindAskNodes // request
	kindPeer
)

// An outcome says what an answer is.
type outcome byte

const (
	gone outcome = iota
	answered
	refused
)

const (
	flagVolatile = 1 << iota
	flagClose    // of kindDisconnect: the connection too
	flagNoCompress
	flagTraced
)

type message struct {
	kind      kind
	flags     byte
	namespace string
	target    Target
	trace     string // of a packet; flagTraced goes with it
	body      []byte
}

func (m *message) append(b []byte) []byte {
	flags, except := m.flags, len(m.target.Except)
	if m.trace != "" {
		flags |= flagTraced
		except++
	}
	b = append(b, byte(m.kind), flags)
	b = appendString(b, m.namespace)
	b = appendRooms(b, m.target.Rooms)
	b = binary.AppendUvarint(b, uint64(except))
	for _, r := range m.target.Except {
		b = appendString(b, r)
	}
	if m.trace != "" {
		b = appendString(b, m.trace)
	}
	return append(b, m.body...)
}

// decodeMessage aliases b.
func decodeMessage(b []byte) (m message, err error) {
	if len(b) < 2 {
		return m, errMalformed
	}
	m.kind, m.flags = kind(b[0]), b[1]
	d := decoder{b: b[2:]}
	m.namespace = string(d.bytes())
	m.target.Rooms = d.rooms()
	m.target.Except = d.rooms()
	m.body = d.b
	if m.flags&flagTraced != 0 {
		last := len(m.target.Except) - 1
		if last < 0 {
			return m, errMalformed
		}
		m.flags &^= flagTraced
		m.trace = string(m.target.Except[last])
		if m.target.Except = m.target.Except[:last]; last == 0 {
			m.target.Except = nil
		}
	}
	if d.bad || m.kind < kindBroadcast || m.kind > kindPeer {
		return m, errMalformed
	}
	return m, nil
}

func appendInfo(b []byte, i *Info) []byte {
	b = appendString(b, i.ID)
	b = appendRooms(b, i.Rooms)
	return appendString(b, i.Data)
}

// decodeInfos appends the items of a page to infos.
func decodeInfos(infos []Info, page []byte, node string) ([]Info, error) {
	d := decoder{b: page}
	for len(d.b) > 0 {
		i := Info{ID: SocketID(d.bytes()), Node: node, Rooms: d.rooms(), Data: d.bytes()}
		if d.bad {
			return infos, errMalformed
		}
		infos = append(infos, i)
	}
	return infos, nil
}

func appendRoomSize(b []byte, room Room, members int) []byte {
	return binary.AppendUvarint(appendString(b, room), uint64(members))
}

// decodeRoomSizes adds the items of a page to sizes.
func decodeRoomSizes(sizes map[Room]int, page []byte) error {
	d := decoder{b: page}
	for len(d.b) > 0 {
		room, members := Room(d.bytes()), d.number()
		if d.bad || members > 1<<31 {
			return errMalformed
		}
		sizes[room] += int(members)
	}
	return nil
}

func decodeCount(b []byte) (int, error) {
	n, used := binary.Uvarint(b)
	if used <= 0 || used != len(b) || n > 1<<31 {
		return 0, errMalformed
	}
	return int(n), nil
}

// appendAnswer appends the body of an answer.
func appendAnswer(b []byte, ask uint64, id SocketID, what outcome, body []byte) []byte {
	b = binary.AppendUvarint(b, ask)
	b = appendString(b, id)
	b = append(b, byte(what))
	return append(b, body...)
}

func decodeAnswer(b []byte) (ask uint64, id SocketID, what outcome, body []byte, err error) {
	d := decoder{b: b}
	ask, id = d.number(), SocketID(d.bytes())
	if d.bad || len(d.b) == 0 || outcome(d.b[0]) > refused {
		return 0, "", gone, nil, errMalformed
	}
	return ask, id, outcome(d.b[0]), d.b[1:], nil
}

// decodeNumber takes the number off the body of an ask, a forget and the like.
func decodeNumber(b []byte) (n uint64, rest []byte, err error) {
	d := decoder{b: b}
	if n = d.number(); d.bad {
		return 0, nil, errMalformed
	}
	return n, d.b, nil
}

func appendNumber(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

func appendRooms(b []byte, rooms []Room) []byte {
	b = binary.AppendUvarint(b, uint64(len(rooms)))
	for _, r := range rooms {
		b = appendString(b, r)
	}
	return b
}

func decodeRooms(b []byte) ([]Room, error) {
	d := decoder{b: b}
	rooms := d.rooms()
	if d.bad || len(d.b) > 0 {
		return nil, errMalformed
	}
	return rooms, nil
}

func appendString[S ~string | ~[]byte](b []byte, s S) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// decoder takes values off b; after the first that is not there, bad is set
// and all others are empty.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() { d.b, d.bad = nil, true }

func (d *decoder) number() uint64 {
	n, used := binary.Uvarint(d.b)
	if used <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[used:]
	return n
}

// count returns a number of items of a byte at least.
func (d *decoder) count() int {
	n := d.number()
	if n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) bytes() []byte {
	n := d.count()
	s := d.b[:n:n]
	d.b = d.b[n:]
	return s
}

func (d *decoder) rooms() []Room {
	n := d.count()
	if n == 0 {
		return nil
	}
	rooms := make([]Room, 0, n)
	for range n {
		rooms = append(rooms, Room(d.bytes()))
	}
	return rooms
}
