package socketio

import "math"

// What nodes make of each other's packets, in the wire form of the clients.
// Nothing that a node sends is trusted.

// decode returns the packet that a node encoded, or nil. Other than a client,
// a node may send any number of attachments.
func (n *Namespace) decode(e encoded) *Packet {
	parser := n.server.opts.Parser
	if _, ok := parser.(jsonParser); ok {
		parser = jsonParser{math.MaxInt32}
	}
	d := parser.NewDecoder()
	for i, f := range e {
		message := f.Data
		if !f.Binary {
			message = message[1:] // behind the 4
		}
		p, err := d.Decode(f.Binary, message)
		if err != nil {
			return nil
		}
		if p != nil && i == len(e)-1 {
			return p
		}
	}
	return nil
}

// withID returns an event's encoded.data with an ack id put in.
func (n *Namespace) withID(data []byte, id uint64) (encoded, bool) {
	e, ok := decodeData(data)
	if !ok {
		return nil, false
	}
	p := n.decode(e)
	if p == nil {
		return nil, false
	}
	p.ID = id
	frames, err := n.server.opts.Parser.Encode(p)
	return frames, err == nil
}

// decodeEvent returns the name and arguments of an event, nothing if it is
// none.
func (n *Namespace) decodeEvent(e encoded) (string, Args) {
	p := n.decode(e)
	if p == nil || p.Type != TypeEvent {
		return "", nil
	}
	name, err := eventName(p.Args)
	if err != nil {
		return "", nil
	}
	return name, p.Args[1:]
}

// encodeAnswer returns an acknowledgement as it travels to the node that asked
// for it: encoded.data of an ACK packet.
func (n *Namespace) encodeAnswer(args Args) []byte {
	e, err := n.server.opts.Parser.Encode(&Packet{Type: TypeAck, Namespace: "/", Args: args})
	if err != nil {
		return nil // no node takes that for an answer
	}
	return encoded(e).data()
}

// decodeAnswer is the inverse of encodeAnswer.
func (n *Namespace) decodeAnswer(data []byte) (Args, bool) {
	e, ok := decodeData(data)
	if !ok {
		return nil, false
	}
	p := n.decode(e)
	if p == nil || p.Type != TypeAck {
		return nil, false
	}
	return p.Args, true
}
