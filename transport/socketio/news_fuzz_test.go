package socketio

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/carillonhq/carillon/adapter"
)

func FuzzDecodeNews(f *testing.F) {
	x := (&adapter.Transfer{ID: "id", Rooms: []adapter.Room{"r"}}).Append(nil)
	for _, n := range []*news{
		{What: newsTake, Request: 1, PID: "node~pid", Offset: "1node.a", Age: 5},
		{What: newsNo, Request: 1, Why: UnrecoveredOffset},
		{What: newsCommitted, Request: 1, Seat: &seatNews{PID: "p", Entry: "e", Base: []adapter.Place{{Node: "n", At: 1}}, Term: 2, Away: 3, Ack: 4, Data: []byte(`{"a":1}`)}, rest: x},
		{What: newsPlaced, Placed: []whereabouts{{SID: "s", PID: "p", Term: 1}, {}}},
		{What: newsData, SID: "s", Data: []byte("null")},
	} {
		b, err := n.append(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	for _, text := range []string{
		"", "\x00", "\xff", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01{}", "\x02{}", "\x04null", "\x02[]",
		"\x14{\"seat\":{\"away\":-1}}", "\x1e{\"age\":9223372036854775807}   ", "\x13{\"seat\":{\"term\":{}}}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		n, err := decodeNews(in)
		if err != nil {
			return
		}
		if n.Age < 0 || n.Age > maxAge || n.Seat != nil && (n.Seat.Away < 0 || n.Seat.Away > maxAge || n.Seat.PID == "") {
			t.Errorf("%q is taken for %+v, %+v", in, n, n.Seat)
		}
		once, err := n.append(nil)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeNews(once)
		if err != nil {
			t.Fatalf("%q comes back as %v", once, err)
		}
		twice, err := again.append(nil)
		if err != nil || !bytes.Equal(once, twice) || !reflect.DeepEqual(n.rest, again.rest) && len(n.rest) > 0 {
			t.Errorf("%q comes back as %q, %v", once, twice, err)
		}
		_, _, _ = adapter.DecodeTransfer(n.rest)
	})
}
