package presence

import (
	"encoding/binary"
	"errors"
)

// What nodes tell each other, on the bus channel "presence":
//
//	change  1 · user str · devices uvarint
//	page    2 · flags u8 (1: the first, 2: the last) · (user str · devices uvarint)…
//	pull    3
//
// devices is how many the sender holds from now on; str is uvarint length and
// bytes. The pages of one node, from a first to a last, are all that it holds.
const (
	kindChange = iota + 1
	kindPage
	kindPull
)

const (
	pageFirst = 1 << iota
	pageLast
)

// pageSize is the number of bytes at which a page ends.
const pageSize = 64 << 10

var errMalformed = errors.New("presence: malformed message")

type entry struct {
	user    string
	devices int
}

func (e entry) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(e.user)))
	b = append(b, e.user...)
	return binary.AppendUvarint(b, uint64(e.devices))
}

func appendChange(b []byte, e entry) []byte { return e.append(append(b, kindChange)) }

// pages encodes all that a node holds: one page at least.
func pages(held map[string]int) [][]byte {
	all := [][]byte{{kindPage, pageFirst}}
	for user, devices := range held {
		last := &all[len(all)-1]
		if len(*last) > pageSize {
			all = append(all, []byte{kindPage, 0})
			last = &all[len(all)-1]
		}
		*last = entry{user, devices}.append(*last)
	}
	all[len(all)-1][1] |= pageLast
	return all
}

type message struct {
	kind    byte
	flags   byte
	entries []entry
}

func decode(b []byte) (m message, err error) {
	if len(b) == 0 {
		return m, errMalformed
	}
	m.kind, b = b[0], b[1:]
	switch m.kind {
	case kindChange:
	case kindPage:
		if len(b) == 0 || b[0]&^(pageFirst|pageLast) != 0 {
			return m, errMalformed
		}
		m.flags, b = b[0], b[1:]
	case kindPull:
	default:
		return m, errMalformed
	}
	for len(b) > 0 {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return m, errMalformed
		}
		user := string(b[used : used+int(n)])
		b = b[used+int(n):]
		devices, used := binary.Uvarint(b)
		if used <= 0 || devices > 1<<31 {
			return m, errMalformed
		}
		b = b[used:]
		m.entries = append(m.entries, entry{user, int(devices)})
	}
	if (m.kind == kindChange) != (len(m.entries) == 1) && m.kind != kindPage {
		return m, errMalformed
	}
	return m, nil
}
