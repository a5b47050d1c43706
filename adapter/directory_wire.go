package adapter

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// directoryChannel is the directory's name on the bus.
const directoryChannel = "directory"

// What nodes say there, the version in front:
//
//	note     version u8 · item…
//	item     put u8 · key str · term uvarint · ttl uvarint · body str
//	         add u8 · key str · term uvarint · number uvarint · body str
//	         drop u8 · key str · term uvarint
//	         lost u8 · key str · term uvarint · node 16 B
//	         again u8
//	request  version u8 · claim u8 or release u8 · key str · term uvarint
//	answer   none u8
//	         lives u8 · node 16 B
//	         granted u8 · term uvarint · node 16 B · age uvarint, in ms · doubt u8 · body str · count uvarint · added str…
//
// An owner puts a record, adds to it, numbered from 1 on, and drops it; ttl, in
// seconds, is how long it outlives its owner. A node that has given the record
// of an owner to another, whose term is one more, tells the owner, should it not
// be dead, that it has lost it. One that may have missed something has an owner
// say all of it again. A release undoes a claim and is answered with none.
//
// A later version adds nothing that is not in a new kind of item, so a node
// refuses what it does not know as a whole.
const directoryVersion = 1

// An itemKind says what an item is.
type itemKind byte

const (
	itemPut itemKind = iota + 1
	itemAdd
	itemDrop
	itemLost
	itemAgain
)

const (
	requestClaim byte = iota + 1
	requestRelease
)

const (
	answerNone byte = iota
	answerLives
	answerGranted
)

const (
	maxKey    = 128       // bytes
	maxAge    = 1 << 62   // of a record, in ns
	maxRecord = 256 << 10 // bytes of a record, with what was added
	maxTTL    = 24 * time.Hour
)

// An item is one thing that a node says of one key.
type item struct {
	kind   itemKind
	key    string
	term   uint64
	ttl    time.Duration // of put, in whole seconds
	number uint64        // of add
	node   broker.NodeID // of lost: who has it now
	body   []byte        // of put and add
}

func (i *item) append(b []byte) []byte {
	b = append(b, byte(i.kind))
	if i.kind == itemAgain {
		return b
	}
	b = appendString(b, i.key)
	b = binary.AppendUvarint(b, i.term)
	switch i.kind {
	case itemPut:
		b = binary.AppendUvarint(b, uint64(i.ttl/time.Second))
		b = appendString(b, i.body)
	case itemAdd:
		b = binary.AppendUvarint(b, i.number)
		b = appendString(b, i.body)
	case itemLost:
		b = append(b, i.node[:]...)
	}
	return b
}

// decodeItems hands the items of a note to use, none if the note is malformed.
// What they hold aliases b.
func decodeItems(b []byte, use func(item)) error {
	if len(b) < 2 || b[0] != directoryVersion {
		return errMalformed
	}
	var items []item
	for d := (decoder{b: b[1:]}); len(d.b) > 0; {
		i := item{kind: itemKind(d.b[0])}
		d.b = d.b[1:]
		if i.kind != itemAgain {
			i.key, i.term = d.key(), d.number()
		}
		switch i.kind {
		case itemPut:
			seconds := d.number()
			d.bad = d.bad || seconds > uint64(maxTTL/time.Second)
			i.ttl = time.Duration(seconds) * time.Second
			i.body = d.bytes()
		case itemAdd:
			i.number = d.number()
			i.body = d.bytes()
		case itemDrop, itemAgain:
		case itemLost:
			i.node = d.node()
		default:
			return errMalformed
		}
		if d.bad || len(i.body) > maxRecord {
			return errMalformed
		}
		items = append(items, i)
	}
	for _, i := range items {
		use(i)
	}
	return nil
}

func appendRequest(b []byte, what byte, key string, term uint64) []byte {
	b = append(b, directoryVersion, what)
	b = appendString(b, key)
	return binary.AppendUvarint(b, term)
}

func decodeRequest(b []byte) (what byte, key string, term uint64, err error) {
	if len(b) < 2 || b[0] != directoryVersion || b[1] < requestClaim || b[1] > requestRelease {
		return 0, "", 0, errMalformed
	}
	d := decoder{b: b[2:]}
	key, term = d.key(), d.number()
	if d.bad || len(d.b) > 0 {
		return 0, "", 0, errMalformed
	}
	return b[1], key, term, nil
}

// A finding is the answer to a claim.
type finding struct {
	what  byte
	term  uint64        // of granted
	node  broker.NodeID // of lives: who has it; of granted: who had it
	age   time.Duration // of granted, in ms
	doubt bool          // of granted
	body  []byte        // of granted
	added [][]byte      // of granted
}

func (f *finding) append(b []byte) []byte {
	b = append(b, f.what)
	switch f.what {
	case answerLives:
		b = append(b, f.node[:]...)
	case answerGranted:
		b = binary.AppendUvarint(b, f.term)
		b = append(b, f.node[:]...)
		b = binary.AppendUvarint(b, uint64(max(0, f.age.Milliseconds())))
		b = append(b, 0)
		if f.doubt {
			b[len(b)-1] = 1
		}
		b = appendString(b, f.body)
		b = binary.AppendUvarint(b, uint64(len(f.added)))
		for _, a := range f.added {
			b = appendString(b, a)
		}
	}
	return b
}

// decodeFinding aliases b.
func decodeFinding(b []byte) (f finding, err error) {
	if len(b) == 0 || b[0] > answerGranted {
		return f, errMalformed
	}
	f.what = b[0]
	d := decoder{b: b[1:]}
	switch f.what {
	case answerLives:
		f.node = d.node()
	case answerGranted:
		f.term, f.node = d.number(), d.node()
		age := d.number()
		if age > uint64(maxAge/time.Millisecond) {
			d.fail()
		}
		f.age = time.Duration(age) * time.Millisecond
		f.doubt = d.byte() != 0
		f.body = d.bytes()
		n := d.count()
		f.added = slices.Grow(f.added, min(n, 64))
		for range n {
			f.added = append(f.added, d.bytes())
		}
	}
	if d.bad || len(d.b) > 0 {
		return finding{}, errMalformed
	}
	return f, nil
}

// key takes a key, which is not empty.
func (d *decoder) key() string {
	k := d.bytes()
	if len(k) == 0 || len(k) > maxKey {
		d.fail()
		return ""
	}
	return string(k)
}

func (d *decoder) node() (id broker.NodeID) {
	if len(d.b) < len(id) {
		d.fail()
		return id
	}
	copy(id[:], d.b)
	d.b = d.b[len(id):]
	return id
}
