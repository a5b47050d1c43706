package polling_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/polling"
)

// FuzzPayload: a payload is refused, or its frames make one that has the same
// frames.
func FuzzPayload(f *testing.F) {
	for _, in := range []string{"", "4", "4a\x1e4b", "bAQIDBA==", "4\x1ebAQID\x1e\x1e1", "b", "b!", "bA", "4\xff", "4\xed\xa0\x80", "\x1e"} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		parse := func(in []byte) (all []transport.Frame, err error) {
			for f, err := range polling.FramesOf(bytes.Clone(in)) {
				if err != nil {
					return all, err
				}
				all = append(all, f)
			}
			return all, nil
		}
		once, err := parse(in)
		if err != nil {
			if !errors.Is(err, polling.ErrPayload) || !errors.Is(err, transport.ErrProtocol) {
				t.Errorf("%q is refused with %v", in, err)
			}
			return
		}
		var runs []*transport.Frames
		for _, f := range once {
			runs = append(runs, transport.NewFrames(f))
		}
		out := polling.Join(runs)
		twice, err := parse(out)
		if err != nil || len(twice) != len(once) {
			t.Fatalf("%q is encoded as %q, which has %d frames (%v), want %d", in, out, len(twice), err, len(once))
		}
		for i := range once {
			if once[i].Binary != twice[i].Binary || !bytes.Equal(once[i].Data, twice[i].Data) {
				t.Errorf("%q is encoded as %q, whose frame %d differs", in, out, i)
			}
		}
	})
}

// What a Receiver is given is its own: growing one frame leaves the next.
func TestFramesAreDisjoint(t *testing.T) {
	var got [][]byte
	for f := range polling.FramesOf([]byte("4a\x1e4b\x1e4c")) {
		got = append(got, f.Data)
	}
	for _, d := range got {
		_ = append(d, "xxxx"...)
	}
	if s := string(bytes.Join(got, nil)); s != "4a4b4c" {
		t.Errorf("frames are %q after appending to each", s)
	}
}

func BenchmarkFrames(b *testing.B) {
	in := bytes.Repeat([]byte("42[\"message\",{\"text\":\"hello, world\"}]\x1e"), 100)
	in = in[:len(in)-1]
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range polling.FramesOf(in) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
