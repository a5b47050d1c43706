// Package peers joins the engineio.Servers of a cluster over a broker.Bus, so
// that any node can answer a client, and no balancer has to be sticky:
//
//	link := peers.Over(bus)
//	srv := engineio.New(engineio.Options{Peers: link}, accept)
//
// Messages go to one node each, and never to all.
package peers

import (
	"sync"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/transport/engineio"
)

// channel is where Servers talk on the Bus.
const channel = "carillon.engineio"

// Peers are the nodes of a Bus. They serve one Server.
type Peers struct {
	bus *broker.Bus

	mu     sync.RWMutex // guards the fields below
	cutOff bool         // this node does not hear itself
}

var _ engineio.Peers = (*Peers)(nil)

// Over returns the Peers of a Bus, which stays the caller's: it is to be closed
// after the Server.
func Over(bus *broker.Bus) *Peers { return &Peers{bus: bus} }

// Self implements engineio.Peers.
func (p *Peers) Self() string { return p.bus.Self().ID.Short() }

// Up implements engineio.Peers.
func (p *Peers) Up(node string) bool {
	_, ok := p.find(node)
	return ok && !p.isCutOff()
}

// Any implements engineio.Peers.
func (p *Peers) Any() bool { return !p.isCutOff() && len(p.bus.Members()) > 0 }

func (p *Peers) find(node string) (broker.NodeID, bool) {
	m, ok := p.bus.Lookup(node)
	return m.ID, ok && m.ID != p.bus.Self().ID
}

func (p *Peers) isCutOff() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.cutOff
}

// Send implements engineio.Peers. While this node is cut off, what it says waits.
// What broker.Bus.Send fails with is passed on.
func (p *Peers) Send(node string, body []byte) error {
	id, ok := p.find(node)
	if !ok {
		return broker.ErrUnknownNode
	}
	return p.bus.Send(id, channel, body)
}

// Listen implements engineio.Peers.
func (p *Peers) Listen(h engineio.PeerHandler) (stop func()) {
	g := &gate{}
	p.bus.Handle(channel, func(m broker.Message) {
		if g.enter() {
			defer g.leave()
			h.Message(m.From.ID.Short(), m.Body)
		}
	})
	unwatch := p.bus.Watch(func(e broker.Event) {
		if !g.enter() {
			return
		}
		defer g.leave()
		switch e.Kind {
		case broker.NodeDown, broker.Gap:
			h.Lost(e.Node.ID.Short())
		case broker.Frozen:
			p.cut(true)
			for _, m := range p.bus.Members() {
				h.Lost(m.ID.Short())
			}
		case broker.Thawed:
			p.cut(false)
		}
	})
	return func() {
		p.bus.Handle(channel, nil)
		unwatch()
		g.close()
	}
}

func (p *Peers) cut(is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutOff = is
}

// A gate keeps a handler from being called after close, which waits for calls
// that have begun.
type gate struct {
	mu     sync.Mutex // guards closed, and that calls do not begin after it
	closed bool
	calls  sync.WaitGroup
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.calls.Add(1)
	return true
}

func (g *gate) leave() { g.calls.Done() }

func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.calls.Wait()
}
