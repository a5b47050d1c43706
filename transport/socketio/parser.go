package socketio

import (
	"math"

	"github.com/carillonhq/carillon/transport"
)

// A Parser is the wire form of packets: it makes frames of them, and packets
// of frames. A Server and its clients must use the same one, and so must all
// nodes of a cluster. The default is socket.io-parser's, JSON with binary
// attachments; [MessagePack] is another.
//
// A Parser deals in [Raw] values only. Between those and Go values stands
// encoding/json, whatever the Parser is, so that handlers and their types are
// the same for all. All methods may be called concurrently.
type Parser interface {
	// Encode returns the frames of p, at least one. A text frame begins with
	// the 4 of an Engine.IO message, a binary frame has none. Encode does not
	// keep p; the frames may alias what p's values hold.
	Encode(p *Packet) ([]transport.Frame, error)

	// NewDecoder returns the Decoder of one connection.
	NewDecoder() Decoder
}

// A Decoder reads the packets of one connection. Its methods are called one at
// a time.
type Decoder interface {
	// Decode takes the next message, which it owns: binary, or a text without
	// the 4. It returns the packet that is complete with it, which is valid
	// until the next call (its Args longer), or nil if more is to come. An
	// error closes the connection. Decode must bear whatever a client sends:
	// it checks that the Args are such as Packet says.
	Decode(binary bool, data []byte) (*Packet, error)
}

// A PacketType says what a packet is for (Socket.IO protocol v5).
type PacketType byte

// Binary events and acknowledgements, which have types of their own in the
// default form, are TypeEvent and TypeAck in a Packet.
const (
	TypeConnect PacketType = iota
	TypeDisconnect
	TypeEvent
	TypeAck
	TypeConnectError
)

// A Packet is what client and server tell each other.
type Packet struct {
	Type      PacketType
	Namespace string
	ID        uint64 // by which an event asks for an acknowledgement, or an acknowledgement answers; or NoID

	// Args are an event's name and arguments, an acknowledgement's arguments,
	// or the one value of TypeConnect (an object, or nothing) and of
	// TypeConnectError (an object or a string).
	Args []Raw
}

// NoID is the ID of a Packet that has none.
const NoID = math.MaxUint64

// maxID is the greatest ID accepted: JavaScript's greatest safe integer.
const maxID = 1<<53 - 1

// A Form is how a Parser other than the default writes one value. It must be
// comparable.
type Form interface {
	// AppendJSON appends a value in this form, other than null, to b as JSON
	// text, and binary in it as Binary.MarshalJSON has it.
	AppendJSON(b, value []byte) ([]byte, error)
}

// NewRaw returns a Raw of a value in a Parser's form; an empty one is null.
// The value must not change afterwards.
func NewRaw(form Form, value []byte) Raw { return Raw{data: value, form: form} }

// Form returns the form and the value that the Raw was made of by NewRaw. The
// form of any other Raw, and of null, is nil: it is to be had by MarshalJSON.
func (r Raw) Form() (Form, []byte) {
	if r.form == nil || len(r.data) == 0 {
		return nil, nil
	}
	return r.form, r.data
}
