package adapter

import "encoding/binary"

// What nodes say about rooms, on the bus channel "adapter":
//
//	message  kind u8 · flags u8 · namespace str · rooms list · except list · body
//	str      uvarint length · bytes
//	list     uvarint count · str…
//
// The body of a broadcast is the packet's data, that of join and leave the
// list of rooms to join or leave. Requests are answered with a uvarint count,
// fetch with a uvarint count of (id str · rooms list · data str).
//
// An ask is a request that bears a number of the asker's: its body is number
// uvarint · packet's data. Each socket that was asked becomes a message to the
// asker, before or after the count: number uvarint · socket str · ok u8 ·
// answer; ok is 0 if the socket went without one. A forget, of the asker,
// names the number of an ask to whose answers it has ceased to listen. Answer
// and forget have no namespace, rooms or exceptions.
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
)

const (
	flagVolatile = 1 << iota
	flagClose    // of kindDisconnect: the connection too
	flagNoCompress
)

type message struct {
	kind      kind
	flags     byte
	namespace string
	target    Target
	body      []byte
}

func (m *message) append(b []byte) []byte {
	b = append(b, byte(m.kind), m.flags)
	b = appendString(b, m.namespace)
	b = appendRooms(b, m.target.Rooms)
	b = appendRooms(b, m.target.Except)
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
	if d.bad || m.kind < kindBroadcast || m.kind > kindForget {
		return m, errMalformed
	}
	return m, nil
}

func appendInfos(b []byte, infos []Info) []byte {
	b = binary.AppendUvarint(b, uint64(len(infos)))
	for _, i := range infos {
		b = appendString(b, i.ID)
		b = appendRooms(b, i.Rooms)
		b = appendString(b, i.Data)
	}
	return b
}

func decodeInfos(b []byte, node string) ([]Info, error) {
	d := decoder{b: b}
	n := d.count(3) // an Info is three bytes at least
	infos := make([]Info, 0, n)
	for range n {
		infos = append(infos, Info{ID: SocketID(d.bytes()), Node: node, Rooms: d.rooms(), Data: d.bytes()})
	}
	if d.bad || len(d.b) > 0 {
		return nil, errMalformed
	}
	return infos, nil
}

func decodeCount(b []byte) (int, error) {
	n, used := binary.Uvarint(b)
	if used <= 0 || used != len(b) || n > 1<<31 {
		return 0, errMalformed
	}
	return int(n), nil
}

// appendAnswer appends the body of an answer.
func appendAnswer(b []byte, ask uint64, id SocketID, body []byte, ok bool) []byte {
	b = binary.AppendUvarint(b, ask)
	b = appendString(b, id)
	if ok {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return append(b, body...)
}

func decodeAnswer(b []byte) (ask uint64, id SocketID, body []byte, ok bool, err error) {
	ask, b, err = decodeNumber(b)
	d := decoder{b: b}
	id = SocketID(d.bytes())
	if err != nil || d.bad || len(d.b) == 0 || d.b[0] > 1 {
		return 0, "", nil, false, errMalformed
	}
	return ask, id, d.b[1:], d.b[0] == 1, nil
}

// decodeNumber takes the number off the body of an ask, answer or forget.
func decodeNumber(b []byte) (n uint64, rest []byte, err error) {
	n, used := binary.Uvarint(b)
	if used <= 0 {
		return 0, nil, errMalformed
	}
	return n, b[used:], nil
}

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

// count returns a number of items of at least size bytes each.
func (d *decoder) count(size int) int {
	n, used := binary.Uvarint(d.b)
	if used <= 0 || n > uint64((len(d.b)-used)/size) {
		d.fail()
		return 0
	}
	d.b = d.b[used:]
	return int(n)
}

func (d *decoder) bytes() []byte {
	n := d.count(1)
	s := d.b[:n:n]
	d.b = d.b[n:]
	return s
}

func (d *decoder) rooms() []Room {
	n := d.count(1)
	if n == 0 {
		return nil
	}
	rooms := make([]Room, 0, n)
	for range n {
		rooms = append(rooms, Room(d.bytes()))
	}
	return rooms
}
