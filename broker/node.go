package broker

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"slices"
)

// A NodeID names one run of one process: it is drawn at random at every boot,
// so a restarted node is a new node.
type NodeID [16]byte

func newNodeID() (id NodeID) {
	rand.Read(id[:]) // never fails
	return id
}

// String returns the ID as 22 characters of base64url without padding.
func (id NodeID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Short returns 8 characters of base64url, the first 6 bytes of the ID: few
// enough to stand in other identifiers, and with 48 bits enough to tell the
// nodes of a cluster apart. See [Bus.Lookup].
func (id NodeID) Short() string { return base64.RawURLEncoding.EncodeToString(id[:6]) }

// ref is the name of a node inside envelopes. Two nodes that share a ref cost
// each other at most a Gap that was none.
func (id NodeID) ref() uint32 { return binary.LittleEndian.Uint32(id[:4]) }

// A Member is a node of the cluster, as this node knows it.
type Member struct {
	ID   NodeID
	Name string // Options.Node of that node

	// Protocol is the version of the bus's own protocol that this node speaks
	// with it: the latest that both understand.
	Protocol uint8

	// Caps is what it understands beyond that, and Options.Capabilities.
	Caps Capabilities

	// Draining says that it is about to leave: see Bus.Drain.
	Draining bool
}

// Capabilities say what a node understands, a bit for each thing, so that nodes
// of different versions live together: what is new is said only to those
// that understand it. The lower 32 bits are the bus's own; the upper 32 are
// for those above it, see Options.Capabilities.
type Capabilities uint64

// The capabilities of a Bus.
const (
	CapAck Capabilities = 1 << iota // it reads acknowledgements, see Hooks.Behind
)

const (
	ownCaps = CapAck
	busBits = 1<<32 - 1
	oldest  = 1 // version of the protocol that is understood; version is the latest
)

func compareMembers(a, b Member) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.ID[:], b.ID[:]))
}
