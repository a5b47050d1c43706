package presence

import (
	"encoding/binary"
	"math/bits"

	"github.com/carillonhq/carillon/broker"
)

// Both hashes are part of what nodes tell each other: all must compute the same.

// cellOf returns where a user stands: in a cell of a shard.
func cellOf(user string) int {
	h := uint64(14695981039346656037) // FNV-1a, whose upper bits are then mixed in
	for i := range len(user) {
		h = (h ^ uint64(user[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h ^= h >> 33
	cell, _ := bits.Mul64(h<<6, cells)
	return int(h>>58)*cells + int(cell)
}

func shardOf(cell int) int { return cell / cells }

// A hashKey makes a node's digests its own, as its ID is, so that nobody who
// chooses IDs of users can make two states look alike.
type hashKey [2]uint64

func newHashKey(id broker.NodeID) hashKey {
	return hashKey{binary.LittleEndian.Uint64(id[:8]), binary.LittleEndian.Uint64(id[8:]) | 1}
}

// hash is of one device; those of all devices of a shard, combined by XOR, are
// its digest.
func (k hashKey) hash(d *device) uint64 {
	h := mix(k[0]^(uint64(d.ulen)|uint64(d.flags&flagsKept)<<8|uint64(d.since)<<16), k[1])
	h = k.text(h, d.key)
	if m := d.meta; m != nil {
		h = k.text(k.text(k.text(h, m.Name), m.Status), m.Data)
	}
	return h
}

func (k hashKey) text(h uint64, s string) uint64 {
	h = mix(h^uint64(len(s)), k[1])
	for ; len(s) >= 8; s = s[8:] {
		word := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		h = mix(h^word, k[1]^0x9e3779b97f4a7c15)
	}
	var rest uint64
	for i := range len(s) {
		rest |= uint64(s[i]) << (8 * i)
	}
	return mix(h^rest, k[1]^0xe7037ed1a0b428db)
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0xa0761d6478bd642f, b)
	return hi ^ lo
}
