package broker_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/broker"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func envelopes() []struct {
	name string
	e    *broker.Envelope
} {
	id := broker.NodeID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	to := broker.NodeID{0xaa, 0xbb, 0xcc, 0xdd}
	h := broker.NewHeader(id, 300, 1000, 4)
	r := broker.NewRef
	type ms = []broker.Msg
	type hs = []broker.Hello
	return []struct {
		name string
		e    *broker.Envelope
	}{
		{"nothing but the header", broker.NewEnvelope(h, nil, nil, nil, nil)},
		{"hello to everybody", broker.NewEnvelope(h, hs{broker.NewHello(0, broker.NodeID{}, 0, 0, "berlin-1")}, nil, nil, nil)},
		{"hello to one node", broker.NewEnvelope(h, hs{broker.NewHello(broker.HelloWant, to, 7, 5, "berlin-1")}, nil, nil, nil)},
		{"beat with a direct head", broker.NewEnvelope(h, nil, broker.NewBeat(5, r(0xddccbbaa, 200)), nil, nil)},
		{"hello of a later version", broker.NewEnvelope(h, hs{broker.NewHello(broker.HelloDraining, to, 7, 5, "n").Speaking(1, 3, 1<<40|1)}, nil, nil, nil)},
		{"beat of a node that drains, with acks", broker.NewEnvelope(h, nil, broker.NewBeat(5), nil, nil).Drain().Ack(r(0xddccbbaa, 300), r(1, 0))},
		{"bye", broker.NewEnvelope(h, nil, nil, nil, broker.NewBeat(5))},
		{"two messages to all", broker.NewEnvelope(h, nil, nil, ms{
			broker.NewMsg(0, 5, 3, 0, "chat", nil, "hello"),
			broker.NewMsg(0, 9, 5, 0, "chat", []broker.Ref{r(0xddccbbaa, 8)}, ""),
		}, nil)},
		{"messages to one node", broker.NewEnvelope(h, nil, nil, ms{
			broker.NewMsg(broker.MsgDirect, 6, 5, 0, "chat", nil, "psst"),
			broker.NewMsg(broker.MsgDirect|broker.MsgRequest, 7, 6, 1000, "q", nil, "?"),
			broker.NewMsg(broker.MsgDirect|broker.MsgAnswer, 10, 7, 3, "", nil, "!"),
			broker.NewMsg(broker.MsgDirect|broker.MsgAnswer|broker.MsgRefused, 11, 10, 4, "", nil, "no"),
		}, nil)},
		{"parts of a message", broker.NewEnvelope(h, nil, nil, ms{
			broker.NewMsg(broker.MsgMore, 5, 4, 0, "chat", nil, "one "),
			broker.NewMsg(broker.MsgMore|broker.MsgPart, 6, 5, 0, "chat", nil, "long "),
			broker.NewMsg(broker.MsgPart, 7, 6, 0, "chat", nil, "message"),
		}, nil)},
		{"request for repair", broker.NewEnvelope(h, nil, nil, nil, nil).Ask(3, 5).Ask(9, 300)},
		{"repair", broker.NewEnvelope(h, nil, nil, ms{
			broker.NewMsg(broker.MsgDirect, 5, 4, 0, "chat", nil, "again"),
		}, nil).Answer(3, 4, 5, 5).Answer(9, 9, 9, 300)},
		{"everything", broker.NewEnvelope(h, hs{broker.NewHello(0, to, 1, 1, "n")}, broker.NewBeat(1), ms{broker.NewMsg(0, 2, 1, 0, "c", nil, "b")}, broker.NewBeat(2))},
	}
}

// TestGolden holds the wire format still: nodes of two versions talk to each
// other while a cluster is upgraded.
func TestGolden(t *testing.T) {
	var b strings.Builder
	b.WriteString("The envelopes of envelope_test.go in hexadecimal, for the cluster \"carillon\".\n")
	for _, c := range envelopes() {
		fmt.Fprintf(&b, "-- %s --\n%s", c.name, hex.Dump(c.e.Encode("carillon")))
	}
	const file = "testdata/envelope.txtar"
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
	for _, c := range envelopes() {
		wire := c.e.Encode("x")
		got, err := broker.Decode("x", wire)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if again := got.Encode("x"); !bytes.Equal(again, wire) {
			t.Errorf("%s: got %x, want %x", c.name, again, wire)
		}
		if got, err = broker.Decode("x", c.e.EncodePacked("x")); err != nil || !bytes.Equal(got.Encode("x"), wire) {
			t.Errorf("%s: packed, it does not come back (%v)", c.name, err)
		}
		if _, err := broker.Decode("y", wire); err == nil {
			t.Errorf("%s: another cluster took it", c.name)
		}
		for n := range wire {
			if e, err := broker.Decode("x", wire[:n]); err == nil && bytes.Equal(e.Encode("x"), wire) {
				t.Errorf("%s: cut to %d bytes it is still whole", c.name, n)
			}
		}
		unknown := append(bytes.Clone(wire), 99, 3, 'a', 'b', 'c')
		if got, err = broker.Decode("x", unknown); err != nil {
			t.Errorf("%s: an item of unknown kind: %v", c.name, err)
		} else if again := got.Encode("x"); !bytes.Equal(again, wire) {
			t.Errorf("%s: an item of unknown kind was not skipped", c.name)
		}
	}
}

// A node of the first version says less.
func TestOldHello(t *testing.T) {
	now := broker.NewEnvelope(broker.NewHeader(broker.NodeID{1}, 1, 1, 1), []broker.Hello{broker.NewHello(0, broker.NodeID{}, 2, 1, "n").Speaking(1, 1, 0)}, nil, nil, nil).Encode("x")
	old := bytes.Clone(now[:len(now)-3])
	at := len(old) - (1 + 16 + 1 + 1 + 2) - 1
	old[at] -= 3 // the length of the item
	e, err := broker.Decode("x", old)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Encode("x"); !bytes.Equal(got, now) {
		t.Errorf("got %x, want %x", got, now)
	}
	for n := 1; n < 3; n++ {
		cut := bytes.Clone(now[:len(now)-n])
		cut[at] -= byte(n)
		if _, err := broker.Decode("x", cut); err == nil {
			t.Errorf("a hello that lacks %d of its last bytes was taken", n)
		}
	}
}

func TestHostileBytes(t *testing.T) {
	head := broker.NewEnvelope(broker.NewHeader(broker.NodeID{1}, 1, 1, 1), nil, nil, nil, nil).Encode("x")
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}
	for name, tail := range map[string][]byte{
		"length beyond the end":     {1, 200, 1},
		"huge length":               append([]byte{1}, huge...),
		"huge count of refs":        append([]byte{3, 12, 0, 1}, huge...),
		"message without number":    {1, 4, 1, 0, 0, 0},
		"predecessor before zero":   {1, 4, 1, 1, 2, 0},
		"predecessor is itself":     {1, 4, 1, 1, 0, 0},
		"endless number":            {1, 12, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"channel beyond the item":   {1, 5, 1, 1, 1, 9, 'a'},
		"hello shorter than its ID": {3, 2, 0, 0},
		"request for 33 holes":      append([]byte{5, 67, 33}, bytes.Repeat([]byte{1}, 66)...),
		"request cut short":         {5, 2, 1, 1},
		"two requests":              {5, 3, 1, 1, 1, 5, 3, 1, 1, 1},
		"holes beyond 64 bits":      append(append([]byte{5, 12, 1}, huge...), 1),
		"repair cut short":          {6, 4, 1, 1, 1, 1},
	} {
		if _, err := broker.Decode("x", append(bytes.Clone(head), tail...)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	over := append(bytes.Clone(head), 1, 14, 1)
	over = append(over, huge...)
	over = append(over, 1, 1, 'c')
	if _, err := broker.Decode("x", append(over, 1, 4, 1, 1, 1, 0)); err == nil {
		t.Error("numbers beyond 64 bits: accepted")
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range envelopes() {
		f.Add(c.e.Encode("x"))
		f.Add(c.e.EncodePacked("x"))
	}
	long := broker.NewEnvelope(broker.NewHeader(broker.NodeID{1}, 1, 1, 1), nil, nil, []broker.Msg{broker.NewMsg(0, 1, 0, 0, "c", nil, strings.Repeat("ab", 1000))}, nil)
	f.Add(long.EncodePacked("x"))
	f.Add([]byte("B"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := broker.Decode("x", in)
		if err != nil {
			return
		}
		once := e.Encode("x")
		if again, err := broker.Decode("x", once); err != nil || !bytes.Equal(again.Encode("x"), once) {
			t.Errorf("%x encodes as %x, which does not come back (%v)", in, once, err)
		}
	})
}
