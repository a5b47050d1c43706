package transport_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/transport"
)

// inflated reads the WebSocket frames of wire, and says which are compressed.
func inflated(t *testing.T, wire []byte) (frames []transport.Frame, rsv1 []bool) {
	t.Helper()
	for len(wire) > 0 {
		first, n, rest := wire[0], int(wire[1]), wire[2:]
		switch n {
		case 126:
			n, rest = int(binary.BigEndian.Uint16(rest)), rest[2:]
		case 127:
			n, rest = int(binary.BigEndian.Uint64(rest)), rest[8:]
		}
		data := rest[:n]
		wire = rest[n:]
		compressed := first&0x40 != 0
		if compressed {
			tail := strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")
			var err error
			if data, err = io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(data), tail))); err != nil {
				t.Fatal(err)
			}
		}
		frames = append(frames, transport.Frame{Binary: first&0xf == 2, Data: data})
		rsv1 = append(rsv1, compressed)
	}
	return frames, rsv1
}

func TestDeflated(t *testing.T) {
	z := transport.NewDeflater(1024, 0)
	long := "4" + strings.Repeat("hello, world ", 20000)
	short := strings.Repeat("y", 1023)
	f := transport.NewFrames(
		transport.Frame{Data: []byte(long)},
		transport.Frame{Binary: true, Data: []byte(short)},
		transport.Frame{Binary: true, Data: []byte(long)})
	for _, d := range all {
		frames, rsv1 := inflated(t, f.Deflated(d, z))
		if len(frames) != 3 {
			t.Fatalf("dialect %d: %d frames", d, len(frames))
		}
		if !rsv1[0] || !rsv1[2] || rsv1[1] && d.Binary() && d != transport.V3 {
			t.Errorf("dialect %d: compressed %v", d, rsv1)
		}
		for i, want := range []string{long, short, long} {
			got, err := d.Decode(frames[i].Binary, frames[i].Data)
			if err != nil || string(got.Data) != want {
				t.Errorf("dialect %d: frame %d is not what it was (%v)", d, i, err)
			}
		}
	}
	if n := len(f.Deflated(transport.V4, z)); n > len(long)/10 {
		t.Errorf("%d bytes", n)
	}
}

func TestNotDeflated(t *testing.T) {
	z := transport.NewDeflater(10, 9)
	noise := make([]byte, 5000)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	for name, f := range map[string]*transport.Frames{
		"small":         transport.Text("4aaaaaaaa"),
		"NoCompress":    transport.Text("4" + strings.Repeat("a", 1000)).NoCompress(),
		"not smaller":   transport.NewFrames(transport.Frame{Binary: true, Data: noise}),
		"nothing in it": transport.NewFrames(),
	} {
		if got := f.Deflated(transport.V4, z); !bytes.Equal(got, f.WebSocket()) {
			t.Errorf("%s: compressed", name)
		}
	}
}

func BenchmarkDeflated(b *testing.B) {
	z := transport.NewDeflater(1024, 0)
	data := []byte("4" + strings.Repeat(`{"user":"ada","text":"hello"},`, 100))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		transport.NewFrames(transport.Frame{Data: data}).Deflated(transport.V4, z)
	}
}
