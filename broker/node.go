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

// A Member is a node of the cluster.
type Member struct {
	ID   NodeID
	Name string // Options.Node of that node
}

func compareMembers(a, b Member) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.ID[:], b.ID[:]))
}
