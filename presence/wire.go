package presence

import "encoding/binary"

// What nodes tell each other on a bus channel of their own. The Bus brings it
// in order, once each, and says where something is missing.
//
//	message  version u8 · kind u8 · uptime uvarint · what the kind says
//	ops      first uvarint · device…            changes, numbered from first
//	beat     flags u8 · seq uvarint · digest u64 · devices uvarint · grace uvarint
//	pull     nonce u64 · have uvarint · (shard u8 · digest u64)…
//	range    nonce u64 · first uvarint · device…  answers a pull: what came after have
//	answer   nonce u64 · seq uvarint · now u64 · later u64   answers a pull: masks of
//	         the shards that follow, and of others that differ
//	page     nonce u64 · (shard u8 · flags u8 · length uvarint · device…)…
//	bye      grace uvarint
//	device   flags u8 · ulen u8 · dlen u8 · user · device · since uvarint · meta
//	meta     name str · status str · data str
//
// Numbers are little-endian; str is uvarint length and bytes. uptime and grace
// are milliseconds, since is in 10 ms of the sender's uptime. A device that is
// gone has neither since nor meta, and one without flagMeta no meta. Unknown
// kinds, and bytes after what is known, are of a later version and skipped.
const version = 1

const (
	kindOps = iota + 1
	kindBeat
	kindPull
	kindRange
	kindAnswer
	kindPage
	kindBye
)

const (
	flagGone  = 1 << iota // it is held no more
	flagLost              // it is given its grace; if it is gone, without a goodbye
	flagTook              // its node knew of an older place of the same device
	flagMeta              // its metadata follows
	flagsKept = flagLost | flagTook
)

const beatDraining = 1

const (
	sectionMore = 1 << iota // the rest of the shard follows in the next page
	sectionRest             // it goes on where the page before ended
)

// A device is what a node says of one device.
type device struct {
	key   string // the user's ID, then the device's: one string, as there are many
	meta  *Meta  // nil: empty
	since uint32 // in 10 ms of its node's uptime
	ulen  uint8
	flags uint8
}

func newDevice(user, id string) device { return device{key: user + id, ulen: uint8(len(user))} }

func (d *device) user() string { return d.key[:d.ulen] }
func (d *device) id() string   { return d.key[d.ulen:] }
func (d *device) live() bool   { return d.flags&(flagLost|flagGone) == 0 }

func (d *device) status() string {
	if d.meta == nil {
		return ""
	}
	return d.meta.Status
}

func (d *device) same(o *device) bool { return d.ulen == o.ulen && d.key == o.key }

func (d *device) append(b []byte) []byte {
	flags := d.flags &^ flagMeta
	if d.meta != nil && flags&flagGone == 0 {
		flags |= flagMeta
	}
	b = append(b, flags, d.ulen, uint8(len(d.key)-int(d.ulen)))
	b = append(b, d.key...)
	if flags&flagGone != 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(d.since))
	if flags&flagMeta != 0 {
		for _, s := range []string{d.meta.Name, d.meta.Status, d.meta.Data} {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
	}
	return b
}

// A message is one of all kinds. Which fields count is the kind's.
type message struct {
	kind     byte
	uptime   uint64 // ms
	flags    byte
	first    uint64 // ops, range; have of pull; seq of beat and answer
	nonce    uint64
	digest   uint64 // beat
	now      uint64 // the masks of answer
	later    uint64
	devices  uint64
	grace    uint64 // ms
	ops      []device
	digests  []uint64 // of a pull, one for each shard; nil: all are 0
	sections []section
}

// A section is a part of one shard.
type section struct {
	shard   uint8
	flags   uint8
	devices []device
}

func (m *message) append(b []byte) []byte {
	b = append(b, version, m.kind)
	b = binary.AppendUvarint(b, m.uptime)
	switch m.kind {
	case kindOps:
		b = binary.AppendUvarint(b, m.first)
		b = appendDevices(b, m.ops)
	case kindBeat:
		b = binary.AppendUvarint(append(b, m.flags), m.first)
		b = binary.LittleEndian.AppendUint64(b, m.digest)
		b = binary.AppendUvarint(binary.AppendUvarint(b, m.devices), m.grace)
	case kindPull:
		b = binary.LittleEndian.AppendUint64(b, m.nonce)
		b = binary.AppendUvarint(b, m.first)
		for i, d := range m.digests {
			if d != 0 {
				b = binary.LittleEndian.AppendUint64(append(b, byte(i)), d)
			}
		}
	case kindRange:
		b = binary.LittleEndian.AppendUint64(b, m.nonce)
		b = binary.AppendUvarint(b, m.first)
		b = appendDevices(b, m.ops)
	case kindAnswer:
		b = binary.LittleEndian.AppendUint64(b, m.nonce)
		b = binary.AppendUvarint(b, m.first)
		b = binary.LittleEndian.AppendUint64(b, m.now)
		b = binary.LittleEndian.AppendUint64(b, m.later)
	case kindPage:
		b = binary.LittleEndian.AppendUint64(b, m.nonce)
		var part []byte
		for _, s := range m.sections {
			part = appendDevices(part[:0], s.devices)
			b = append(b, s.shard, s.flags)
			b = append(binary.AppendUvarint(b, uint64(len(part))), part...)
		}
	case kindBye:
		b = binary.AppendUvarint(b, m.grace)
	}
	return b
}

func appendDevices(b []byte, ds []device) []byte {
	for i := range ds {
		b = ds[i].append(b)
	}
	return b
}

// size is what d takes at most.
func (d *device) size() int {
	n := 8 + len(d.key)
	if d.meta != nil {
		n += 9 + d.meta.size()
	}
	return n
}
