package socketio

import (
	"sync"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport"
)

// outgoing is an event on its way to clients of this node.
type outgoing struct {
	frames *transport.Frames
	id     uint64 // of the acknowledgement that is asked for, or NoID
	marked bool   // its last argument is an offset

	once sync.Once // guards the two below
	name string
	args Args

	plainOnce sync.Once // guards unmarked
	unmarked  *outgoing // nil also if it can't be made
}

func newOutgoing(e encoded, id uint64, noCompress bool) *outgoing {
	return &outgoing{frames: framesOf(e, noCompress), id: id}
}

// event returns the event's name and arguments as they were emitted, decoded at
// the first call.
func (o *outgoing) event(n *Namespace) (string, Args) {
	o.once.Do(func() {
		o.name, o.args = n.decodeEvent(o.frames.Parts())
		if o.marked && len(o.args) > 0 {
			o.args = o.args[:len(o.args)-1]
		}
	})
	return o.name, o.args
}

// framesOf returns a packet as its clients' connections take it; noCompress
// says that those that compress should not bother.
func framesOf(e encoded, noCompress bool) *transport.Frames {
	f := e.frames()
	if noCompress {
		f.NoCompress()
	}
	return f
}

// sharedEvent is what adapter.Packet.Shared makes of an event: an *outgoing,
// or nil if it is malformed.
func sharedEvent(data []byte) any { return decodeOutgoing(data, false) }

// sharedPlain is sharedEvent for what is not to be compressed.
func sharedPlain(data []byte) any { return decodeOutgoing(data, true) }

func decodeOutgoing(data []byte, noCompress bool) *outgoing {
	e, ok := decodeData(data)
	if !ok {
		return nil
	}
	return newOutgoing(e, NoID, noCompress)
}

// shared returns the *outgoing of a packet, one for all sockets of this node.
func shared(p *adapter.Packet) *outgoing {
	build := sharedEvent
	if p.NoCompress {
		build = sharedPlain
	}
	o, _ := p.Shared(build).(*outgoing)
	return o
}
