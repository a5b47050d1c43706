package adapter

import (
	"encoding/binary"
	"hash/fnv"

	"github.com/carillonhq/carillon/broker"
)

// Rendezvous returns the node of some that a key falls to; false if there is
// none. All who see the same nodes agree on it, with no word said; a key moves
// only with the node that it fell to, or to one that is new. Nodes that are
// about to leave (broker.Member.Draining) are passed over.
func Rendezvous(key string, nodes []broker.Member) (broker.Member, bool) {
	h := fnv.New64a()
	h.Write([]byte(key))
	sum := h.Sum64()
	var winner broker.Member
	var most uint64
	found := false
	for _, m := range nodes {
		if m.Draining {
			continue
		}
		// An id is drawn at random, so half of it does; two nodes never weigh the same then.
		w := mix(sum ^ binary.LittleEndian.Uint64(m.ID[:8]))
		if !found || w > most {
			winner, most, found = m, w, true
		}
	}
	return winner, found
}

// mix is the finalizer of MurmurHash3: each bit of x counts in each of the
// result, and no two results are the same.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
