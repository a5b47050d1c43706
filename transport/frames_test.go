package transport_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/carillonhq/carillon/transport"
)

// TestWebSocket goes around the lengths at which the header grows (RFC 6455,
// section 5.2).
func TestWebSocket(t *testing.T) {
	for _, test := range []struct {
		n      int
		header string
	}{
		{0, "\x00"},
		{1, "\x01"},
		{125, "\x7d"},
		{126, "\x7e\x00\x7e"},
		{65535, "\x7e\xff\xff"},
		{65536, "\x7f\x00\x00\x00\x00\x00\x01\x00\x00"},
	} {
		data := bytes.Repeat([]byte("x"), test.n)
		for _, binary := range []bool{false, true} {
			want := "\x81" + test.header + string(data)
			if binary {
				want = "\x82" + test.header + string(data)
			}
			f := transport.NewFrames(transport.Frame{Binary: binary, Data: data})
			if got := string(f.WebSocket()); got != want {
				t.Errorf("%d bytes, binary %t: got %.20q, want %.20q", test.n, binary, got, want)
			}
		}
	}
}

func TestRun(t *testing.T) {
	data := []byte("51-x")
	f := transport.NewFrames(transport.Frame{Data: data}, transport.Frame{Binary: true, Data: []byte{0, 0xff}}, transport.Frame{Binary: true})
	copy(data, "????") // the Frames has its own copy
	if got, want := string(f.WebSocket()), "\x81\x0451-x\x82\x02\x00\xff\x82\x00"; got != want {
		t.Errorf("WebSocket() = %q, want %q", got, want)
	}
	// Engine.IO protocol v4: records joined by 0x1e, binary as b and base64.
	if got, want := string(f.Polling()), "51-x\x1ebAP8=\x1eb"; got != want {
		t.Errorf("Polling() = %q, want %q", got, want)
	}
	want := []transport.Frame{{Data: []byte("51-x")}, {Binary: true, Data: []byte{0, 0xff}}, {Binary: true, Data: []byte{}}}
	if got := fmt.Sprint(f.Parts()); got != fmt.Sprint(want) {
		t.Errorf("Parts() = %v, want %v", got, want)
	}
	// No part may be appended to at the cost of the one behind it.
	for i, p := range f.Parts() {
		if cap(p.Data) != len(p.Data) {
			t.Errorf("part %d has room for %d bytes more", i, cap(p.Data)-len(p.Data))
		}
	}
}

func TestPollingOfOneFrame(t *testing.T) {
	if got := string(transport.Text("4hé").Polling()); got != "4hé" {
		t.Errorf("text: got %q", got)
	}
	f := transport.NewFrames(transport.Frame{Binary: true, Data: []byte("\x01\x02\x03\x04")})
	if got, want := string(f.Polling()), "bAQIDBA=="; got != want {
		t.Errorf("binary: got %q, want %q", got, want)
	}
}

func TestNoFrames(t *testing.T) {
	f := transport.NewFrames()
	if len(f.WebSocket()) != 0 || len(f.Parts()) != 0 || len(f.Polling()) != 0 {
		t.Errorf("got %q, %v, %q", f.WebSocket(), f.Parts(), f.Polling())
	}
}

// A Frames is shared by all Conns of a room.
func TestFramesTogether(t *testing.T) {
	f := transport.NewFrames(transport.Frame{Data: []byte("451-")}, transport.Frame{Binary: true, Data: []byte(strings.Repeat("x", 1000))})
	var wg sync.WaitGroup
	polls := make([][]byte, 8)
	for i := range polls {
		wg.Go(func() { polls[i] = f.Polling() })
	}
	wg.Wait()
	for _, p := range polls {
		if &p[0] != &polls[0][0] {
			t.Error("Polling() encoded more than once")
		}
	}
}

func BenchmarkNewFrames(b *testing.B) {
	data := []byte("4" + strings.Repeat("x", 150))
	b.ReportAllocs()
	for b.Loop() {
		transport.NewFrames(transport.Frame{Data: data})
	}
}
