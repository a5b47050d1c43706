package adapter

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
)

func FuzzDecodeTransfer(f *testing.F) {
	node := broker.NodeID{1, 2, 3}
	for _, x := range []*Transfer{
		{},
		{ID: "id", Rooms: []Room{"a", ""}, Age: time.Hour, Heard: Vector{node: 7, {}: math.MaxUint64}},
		{ID: "id", Missed: []Missed{
			{Data: []byte("data"), Former: []Place{{"node", 1}, {"other", math.MaxUint64}}},
			{NoCompress: true},
		}},
	} {
		b := x.Append(nil)
		f.Add(b)
		f.Add(append(b, "rest"...))
		f.Add(b[:len(b)-1])
	}
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}
	for _, before := range []string{"", "\x00", "\x00\x00", "\x00\x00\x00", "\x00\x00\x00\x00", "\x00\x00\x00\x00\x01\x00"} {
		f.Add(append([]byte(before), huge...)) // more than there is, wherever something is counted
	}
	f.Add([]byte("\x00\x00\x00\x00\x01\x00\x04\x00\x01\x00\x01\x00\x01\x00\x01\x00")) // too many places
	f.Fuzz(func(t *testing.T, in []byte) {
		x, rest, err := DecodeTransfer(in)
		if err != nil {
			return
		}
		if len(rest) > len(in) || len(x.Rooms)+len(x.Heard)+len(x.Missed) > len(in) {
			t.Fatalf("%d bytes are %d rooms, %d nodes, %d packets", len(in), len(x.Rooms), len(x.Heard), len(x.Missed))
		}
		for _, m := range x.Missed {
			if len(m.Former) > maxFormer {
				t.Errorf("a packet in %d places", len(m.Former))
			}
		}
		again, rest, err := DecodeTransfer(x.Append(nil))
		if err != nil || len(rest) > 0 || !reflect.DeepEqual(x, again) {
			t.Errorf("%+v comes back as %+v, %d bytes and %v", x, again, len(rest), err)
		}
	})
}
