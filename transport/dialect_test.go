package transport_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/carillonhq/carillon/transport"
)

var all = []transport.Dialect{transport.V4, transport.V4Text, transport.V3, transport.V3Text}

func TestWebSocketAs(t *testing.T) {
	f := transport.NewFrames(transport.Frame{Data: []byte("451-x")}, transport.Frame{Binary: true, Data: []byte{1, 2, 3, 4}})
	for d, want := range map[transport.Dialect]string{
		transport.V4:     "\x81\x05451-x\x82\x04\x01\x02\x03\x04",
		transport.V4Text: "\x81\x05451-x\x81\x09bAQIDBA==",
		transport.V3:     "\x81\x05451-x\x82\x05\x04\x01\x02\x03\x04",
		transport.V3Text: "\x81\x05451-x\x81\x0ab4AQIDBA==",
	} {
		if got := string(f.WebSocketAs(d)); got != want {
			t.Errorf("dialect %d: %q, want %q", d, got, want)
		}
	}
	text := transport.Text("4x")
	for _, d := range all {
		if got := text.WebSocketAs(d); &got[0] != &text.WebSocket()[0] {
			t.Errorf("dialect %d: text is encoded again", d)
		}
	}
}

// What engine.io-parser 2.2 makes of the same packets.
func TestPolling3(t *testing.T) {
	f := transport.NewFrames(
		transport.Frame{Data: []byte("4hé€😀")},
		transport.Frame{Binary: true, Data: []byte{1, 2, 3, 4}},
		transport.Frame{Data: []byte("3")})
	if got, want := string(f.Polling3(false)), "6:4hé€😀10:b4AQIDBA==1:3"; got != want {
		t.Errorf("as text: %q, want %q", got, want)
	}
	want := "\x00\x01\x01\xff4h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x01\x05\xff\x04\x01\x02\x03\x04\x00\x01\xff3"
	if got := string(f.Polling3(true)); got != want {
		t.Errorf("as records: %q, want %q", got, want)
	}
}

func TestDecode(t *testing.T) {
	const refused = "refused"
	for _, test := range []struct {
		binary     bool
		data       string
		v3, v4     string
		v3is, v4is bool // binary
	}{
		{false, "4x", "4x", "4x", false, false},
		{false, "", "", "", false, false},
		{false, "bAQI=", refused, "\x01\x02", false, true},
		{false, "b4AQI=", "\x01\x02", "\xe0\x04\x08", true, true},
		{false, "b4AQI", "\x01\x02", "\xe0\x04\x08", true, true},
		{false, "b", refused, "", false, true},
		{false, "b4!", refused, refused, false, false},
		{true, "\x04x", "x", "\x04x", true, true},
		{true, "\x04", "", "\x04", true, true},
		{true, "4x", refused, "4x", false, true},
		{true, "", refused, "", false, true},
	} {
		for _, d := range all {
			want, is := test.v4, test.v4is
			if d.Version() == 3 {
				want, is = test.v3, test.v3is
			}
			f, err := d.Decode(test.binary, []byte(test.data))
			if want == refused {
				if !errors.Is(err, transport.ErrEncoding) || !errors.Is(err, transport.ErrProtocol) {
					t.Errorf("dialect %d takes %q (%v)", d, test.data, err)
				}
			} else if err != nil || string(f.Data) != want || f.Binary != is {
				t.Errorf("dialect %d: %q is %t %q (%v), want %t %q", d, test.data, f.Binary, f.Data, err, is, want)
			}
		}
	}
}

// FuzzDecode: a frame is refused, or comes back when it is encoded.
func FuzzDecode(f *testing.F) {
	for _, in := range []string{"4x", "b4AQI=", "bAQI", "\x04x", ""} {
		f.Add(false, []byte(in))
		f.Add(true, []byte(in))
	}
	f.Fuzz(func(t *testing.T, binary bool, in []byte) {
		for _, d := range all {
			once, err := d.Decode(binary, bytes.Clone(in))
			if err != nil {
				continue
			}
			wire := transport.NewFrames(once).WebSocketAs(d)
			n := 2
			switch wire[1] {
			case 126:
				n = 4
			case 127:
				n = 10
			}
			twice, err := d.Decode(wire[0] == 0x82, wire[n:])
			if err != nil || twice.Binary != once.Binary || !bytes.Equal(twice.Data, once.Data) {
				t.Errorf("dialect %d: %q is encoded as %q, which does not come back (%v)", d, in, wire, err)
			}
		}
	})
}

// Sessions of both protocols share one Frames, and make each form once.
func TestDialectsTogether(t *testing.T) {
	f := transport.NewFrames(
		transport.Frame{Data: []byte("451-" + strings.Repeat("x", 2000))},
		transport.Frame{Binary: true, Data: bytes.Repeat([]byte("y"), 2000)})
	z := transport.NewDeflater(1024, 1)
	forms := func() (b [][]byte) {
		for _, d := range all {
			b = append(b, f.WebSocketAs(d), f.Deflated(d, z))
		}
		return append(b, f.Polling(), f.Polling3(false), f.Polling3(true))
	}
	got := make([][][]byte, 8)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i] = forms() })
	}
	wg.Wait()
	for i, form := range forms() {
		for _, g := range got {
			if &g[i][0] != &form[0] {
				t.Errorf("form %d was made more than once", i)
			}
		}
	}
}
