package engineio

import "github.com/carillonhq/carillon/transport"

// What nodes tell each other about WebSockets of sessions that are elsewhere.

// offer answers an upgrade request that came to another node.
func (p *peering) offer(m foreign) {
	sess := p.srv.lookup(m.sid)
	switch {
	case sess == nil:
		p.refuse(m, unknownSession)
		return
	case m.protocol != sess.Protocol():
		p.refuse(m, badRequest.because("PROTOCOL_MISMATCH", "protocol", m.protocol, "previousProtocol", sess.Protocol()))
		return
	case p.srv.opts.DisableUpgrades:
		p.refuse(m, badRequest.because("TRANSPORT_HANDSHAKE_ERROR"))
		return
	}
	l := sess.newLink(WebSocket, nil)
	c := p.newPipe(m.from, sess, l)
	l.conn = c
	number := c.id
	if !sess.reserve(l) {
		p.drop(c)
		number = 0
	}
	c.box.say(c, peerMessage(kindOffer, m.req, number)) // behind it comes what else there is to say
}

// drop forgets a pipe.
func (p *peering) drop(c *pipe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pipes, c.id)
}

// offered hands an offer to the request that waits for it.
func (p *peering) offered(from string, number uint64, a peerAnswer, r *peerReader) {
	if !r.end() {
		return
	}
	p.mu.Lock()
	q := p.requests[number]
	ok := q != nil && q.node == from
	if ok && a.pipe != 0 {
		p.offers[edgeKey{from, a.pipe}] = false
	}
	p.mu.Unlock()
	switch {
	case ok:
		q.settle(a)
	case a.pipe != 0: // the client was not that patient
		p.end(edgeKey{from, a.pipe}, endCut)
	}
}

// fromEdge takes what another node says of a WebSocket of a session of ours.
func (p *peering) fromEdge(kind peerKind, from string, number uint64, r *peerReader) {
	var n uint64
	var f transport.Frame
	switch kind {
	case kindIn:
		f.Binary = r.byte()&flagBinary != 0
		f.Data = r.bytes()
	case kindCredit, kindEnd:
		n = r.number()
	}
	if !r.end() {
		return
	}
	p.mu.Lock()
	c := p.pipes[number]
	p.mu.Unlock()
	if c == nil || c.edge != from {
		if kind != kindEnd && kind != kindCredit {
			_ = p.link.Send(from, peerMessage(kindClose, number, endAbort)) // else the edge has lost us
		}
		return
	}
	switch kind {
	case kindProbed:
		c.sess.probed(c.recv)
	case kindUpgraded:
		c.begin()
	case kindIn:
		c.frame(f)
	case kindCredit:
		c.credit(n)
	case kindEnd:
		c.ended(n)
	}
}

// fromOwner takes what another node says to a WebSocket here.
func (p *peering) fromOwner(kind peerKind, key edgeKey, r *peerReader) {
	var n uint64
	var state []byte
	switch kind {
	case kindMoved:
		state = r.bytes()
	case kindGrant, kindClose:
		n = r.number()
	}
	if !r.end() {
		return
	}
	p.mu.Lock()
	e := p.edges[key]
	if _, offered := p.offers[key]; offered && kind == kindClose {
		p.offers[key] = true
	}
	p.mu.Unlock()
	switch {
	case e == nil:
	case kind == kindPiped, kind == kindMoved:
		select {
		case e.answer <- state:
		default:
		}
	case kind == kindGrant:
		e.credit(n)
	case kind == kindClose:
		e.ended(n)
	}
}

// out takes frames for WebSockets here.
func (p *peering) out(from string, flags uint64, r *peerReader) {
	pipes, parts := r.numbers(), r.frames()
	if !r.end() || len(parts) == 0 {
		return
	}
	f := transport.NewFrames(parts...)
	if flags&flagCompress == 0 {
		f.NoCompress()
	}
	for _, number := range pipes {
		key := edgeKey{from, number}
		if e := p.edge(key); e != nil {
			e.out(f)
		} else {
			p.end(key, endCut)
		}
	}
}
