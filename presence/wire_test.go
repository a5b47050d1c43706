package presence_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/presence"
)

var update = flag.Bool("update", false, "rewrite the golden files")

type wireMessage struct {
	name string
	m    presence.Message
}

func messages() []wireMessage {
	meta := presence.Meta{Name: "Anna's phone", Status: "away", Data: "{}"}
	anna := presence.NewTold(0, "anna", "phone", 150, meta)
	bob := presence.NewTold(presence.FlagLost|presence.FlagTook, "bob", "x", 1<<32-1, presence.Meta{})
	gone := presence.NewTold(presence.FlagGone|presence.FlagLost, "carol", "laptop", 0, presence.Meta{})
	with := func(kind byte, change func(m *presence.Message)) presence.Message {
		return presence.NewMessage(kind, 1500).With(change)
	}
	digests := make([]uint64, 64)
	digests[3], digests[63] = 0x0102030405060708, 1
	return []wireMessage{
		{"changes", with(presence.KindOps, func(m *presence.Message) { m.Numbers(300, 0, 0, 0, 0); m.SetOps(anna, bob, gone) })},
		{"beat of a node that drains", with(presence.KindBeat, func(m *presence.Message) { m.SetFlags(1); m.Numbers(300, 0, 0x0102030405060708, 7, 8000) })},
		{"pull of all", with(presence.KindPull, func(m *presence.Message) { m.Numbers(0, 0xa1a2a3a4a5a6a7a8, 0, 0, 0) })},
		{"pull of what differs", with(presence.KindPull, func(m *presence.Message) { m.Numbers(9, 0xa1a2a3a4a5a6a7a8, 0, 0, 0); m.SetDigests(digests) })},
		{"range", with(presence.KindRange, func(m *presence.Message) { m.Numbers(300, 0xa1a2a3a4a5a6a7a8, 0, 0, 0); m.SetOps(gone) })},
		{"empty range", with(presence.KindRange, func(m *presence.Message) { m.Numbers(301, 0xa1a2a3a4a5a6a7a8, 0, 0, 0) })},
		{"answer", with(presence.KindAnswer, func(m *presence.Message) { m.Numbers(300, 0xa1a2a3a4a5a6a7a8, 1<<63|8, 6, 0) })},
		{"page", with(presence.KindPage, func(m *presence.Message) {
			m.Numbers(0, 0xa1a2a3a4a5a6a7a8, 0, 0, 0)
			m.SetSections(presence.NewSection(2, anna), presence.NewSection(1, bob))
		})},
		{"bye", with(presence.KindBye, func(m *presence.Message) { m.Numbers(0, 0, 0, 0, 8000) })},
	}
}

// TestGolden holds the wire format still: nodes of two versions talk to each
// other while a cluster is upgraded. So do the hashes, which must agree.
func TestGolden(t *testing.T) {
	var b strings.Builder
	b.WriteString("The messages of wire_test.go in hexadecimal.\n")
	for _, c := range messages() {
		fmt.Fprintf(&b, "-- %s --\n%s", c.name, hex.Dump(c.m.Encode()))
	}
	b.WriteString("-- shards and hashes --\n")
	id := [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	for _, user := range []string{"a", "anna", "a user with quite a long name"} {
		plain := presence.NewTold(0, user, "d", 1, presence.Meta{})
		full := presence.NewTold(presence.FlagLost, user, "d", 1, presence.Meta{Status: "away"})
		fmt.Fprintf(&b, "%q: shard %d, %016x, %016x\n", user, presence.Shard(user), presence.Hash(id, plain), presence.Hash(id, full))
	}
	const file = "testdata/wire.txtar"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the wire has changed; got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, c := range messages() {
		wire := c.m.Encode()
		got, err := presence.Decode(wire)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if again := got.Encode(); !bytes.Equal(again, wire) {
			t.Errorf("%s: got %x, want %x", c.name, again, wire)
		}
		for n := range wire {
			if m, err := presence.Decode(wire[:n]); err == nil && bytes.Equal(m.Encode(), wire) {
				t.Errorf("%s: cut to %d bytes it is still whole", c.name, n)
			}
		}
	}
	if _, err := presence.Decode([]byte{1, 99, 0, 1, 2, 3}); err != nil {
		t.Errorf("a kind of a later version: %v", err)
	}
}

func TestHostileBytes(t *testing.T) {
	nonce := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	for name, c := range map[string]struct {
		wire []byte
		text string
	}{
		"empty":                  {nil, "presence: malformed message: kind 0, at byte 0 of 0"},
		"another version":        {[]byte{2, 1, 0}, "presence: message of another version: 2"},
		"user without a name":    {[]byte{1, 1, 0, 1, 0, 0, 1, 'd', 0}, "presence: malformed message: kind 1, at byte 8 of 9"},
		"device without a name":  {[]byte{1, 1, 0, 1, 0, 1, 0, 'u', 0}, ""},
		"device beyond the end":  {[]byte{1, 1, 0, 1, 0, 200, 200, 'u'}, ""},
		"changes from nowhere":   {[]byte{1, 1, 0, 0, 0, 1, 1, 'u', 'd', 0}, ""},
		"huge metadata":          {append([]byte{1, 1, 0, 1, 8, 1, 1, 'u', 'd', 0, 0xff, 0xff, 0xff, 0x7f}, make([]byte, 100)...), ""},
		"digest of no shard":     {append(append([]byte{1, 3, 0}, nonce...), 0, 64, 1, 2, 3, 4, 5, 6, 7, 8), ""},
		"page of no shard":       {append(append([]byte{1, 6, 0}, nonce...), 64, 0, 0), ""},
		"user in a wrong shard":  {append(append([]byte{1, 6, 0}, nonce...), byte(presence.Shard("u")+1)%64, 0, 6, 0, 1, 1, 'u', 'd', 0), ""},
		"gone in a page":         {append(append([]byte{1, 6, 0}, nonce...), byte(presence.Shard("u")), 0, 5, 1, 1, 1, 'u', 'd'), ""},
		"section beyond the end": {append(append([]byte{1, 6, 0}, nonce...), 0, 0, 0xff, 0xff, 0x03), ""},
	} {
		_, err := presence.Decode(c.wire)
		if err == nil || c.text != "" && err.Error() != c.text {
			t.Errorf("%s: got %v, want %q", name, err, c.text)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range messages() {
		f.Add(c.m.Encode())
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := presence.Decode(in)
		if err != nil {
			return
		}
		once := m.Encode()
		again, err := presence.Decode(once)
		if err != nil || !bytes.Equal(again.Encode(), once) {
			t.Errorf("%x encodes as %x, which does not come back (%v)", in, once, err)
		}
	})
}
