package socketio

import (
	"sync"
	"sync/atomic"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport"
)

// outgoing is an event on its way to clients of this node.
type outgoing struct {
	frames *transport.Frames
	id     uint64 // of the acknowledgement that is asked for, or NoID
	marked bool   // its last argument is an offset

	decoded atomic.Pointer[outgoingDecoded] // nil until it is asked for: those that are kept are many
}

// outgoingDecoded is what is made of an outgoing that few ask for.
type outgoingDecoded struct {
	once sync.Once // guards the two below
	name string
	args Args

	plainOnce sync.Once // guards unmarked
	unmarked  *outgoing // nil also if it can't be made
}

func (o *outgoing) decode() *outgoingDecoded {
	if d := o.decoded.Load(); d != nil {
		return d
	}
	o.decoded.CompareAndSwap(nil, new(outgoingDecoded))
	return o.decoded.Load()
}

func newOutgoing(e encoded, id uint64, noCompress bool) *outgoing {
	return &outgoing{frames: framesOf(e, noCompress), id: id}
}

// event returns the event's name and arguments as they were emitted, decoded at
// the first call.
func (o *outgoing) event(n *Namespace) (string, Args) {
	d := o.decode()
	d.once.Do(func() {
		d.name, d.args = n.decodeEvent(o.frames.Parts())
		if o.marked && len(d.args) > 0 {
			d.args = d.args[:len(d.args)-1]
		}
	})
	return d.name, d.args
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
