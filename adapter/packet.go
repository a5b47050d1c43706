package adapter

import "sync"

// A Room is a name that sockets share. Every socket is also in a room of its
// own, named by its SocketID.
type Room string

// A SocketID names one socket of the whole cluster. It begins with the short
// id of the node that holds the socket.
type SocketID string

// A Socket is one client in one namespace, as the layer above implements it.
// All methods may be called concurrently and must not block.
type Socket interface {
	// ID returns the same SocketID at every call: one made by NewID of the
	// Adapter that the Socket is added to, or any other that is unique in the
	// cluster. What is meant for a socket of such an id goes to all nodes.
	ID() SocketID

	// Deliver hands p to the client and reports whether it did: not if p is
	// volatile and the client busy, nor once the client is gone. Where a Log is
	// kept, p has its form already, so that what Shared is given is not called.
	Deliver(p *Packet) bool

	// Disconnect ends the socket, and with close the client's connection too.
	Disconnect(close bool)

	// Info describes the socket to whoever fetches it, on any node, in the
	// words of the layer above.
	Info() []byte
}

// A Packet is what a broadcast carries. The Adapter never looks into Data, so
// that it is encoded once, by the sender, for all receivers on all nodes.
type Packet struct {
	Data       []byte // must not change once the Packet was broadcast
	Volatile   bool   // may be dropped for a client that is not ready to take it
	NoCompress bool   // not worth compressing, on connections that do

	// Trace says in the words of the layer above which distributed trace the
	// packet is part of; empty for none. It comes along to other nodes, unless
	// Hooks.Publish says otherwise, and never to clients.
	Trace string

	at     Position
	origin Origin // of one that another node sent
	once   sync.Once
	shared any
}

// Position returns where the packet stands in the Log that keeps it, as a
// Socket sees it whose Adapter records; else 0, as of a volatile packet.
func (p *Packet) Position() Position { return p.at }

// Shared returns what build made of Data, at the first call on this node: the
// form in which the layer above writes the packet to its clients, made once
// and shared by all of them. Where a Log is kept, it has done so. A Packet is either delivered or asked, on all
// nodes, so that Deliver and Ask of a Socket may have a build of their own.
func (p *Packet) Shared(build func(data []byte) any) any {
	p.once.Do(func() { p.shared = build(p.Data) })
	return p.shared
}
