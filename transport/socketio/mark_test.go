package socketio

import (
	"bytes"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/adapter"
)

// What is kept of an event is the same whichever way its offset comes in.
func TestMarkText(t *testing.T) {
	at, heard := adapter.Place{Node: "abcdefgh", At: 1 << 40}, []byte("~abc1z~def0")
	for _, event := range []string{
		`42["x"]`,
		`42/chat,["x",{"a":[1,2]}]`,
		`42["` + strings.Repeat("x", 300) + `"]`,
		`42["` + strings.Repeat("x", 70_000) + `"]`,
		`42[]`, `42["x"`, `42`, `4`, ``, `]`, `[]`, `2["x"]`,
	} {
		data := append([]byte{0}, event...)
		before := bytes.Clone(data)
		var want *outgoing
		if e, ok := decodeData(data); ok {
			if e, ok = appendArg(e, offsetOf(at, heard)); ok {
				want = newOutgoing(e, NoID, true)
			}
		}
		got := markText(data, at, heard, true)
		switch {
		case (got == nil) != (want == nil):
			t.Errorf("%.20q: got %v, want %v", event, got, want)
		case got == nil:
		case !bytes.Equal(got.frames.WebSocket(), want.frames.WebSocket()),
			!bytes.Equal(got.frames.Polling(), want.frames.Polling()):
			t.Errorf("%.20q: got %.300q, want %.300q", event, got.frames.WebSocket(), want.frames.WebSocket())
		case !got.marked, got.id != NoID, got.frames.Compressible():
			t.Errorf("%.20q: marked %t, id %d, compressible %t", event, got.marked, got.id, got.frames.Compressible())
		}
		if !bytes.Equal(data, before) {
			t.Errorf("%.20q: what was broadcast has changed", event)
		}
	}
}

// An event is copied once to be kept, and only what is kept is allocated: the
// *outgoing, its Frames, and the bytes.
func TestMarkAllocations(t *testing.T) {
	data := []byte("\x00" + `42["message","` + strings.Repeat("x", 100) + `"]`)
	at, heard := adapter.Place{Node: "abcdefgh", At: 1 << 40}, []byte("~abc1z~def0")
	var o *outgoing
	if n := testing.AllocsPerRun(100, func() { o = markText(data, at, heard, false) }); n > 3 {
		t.Errorf("%v allocations, want 3", n)
	}
	if o == nil {
		t.Error("the event was refused")
	}
}

// BenchmarkMark is what an event costs to be kept, beside its place in the Log.
func BenchmarkMark(b *testing.B) {
	data := []byte("\x00" + `42["message","` + strings.Repeat("x", 100) + `"]`)
	at, heard := adapter.Place{Node: "abcdefgh", At: 1 << 40}, []byte("~abc1z~def0")
	b.Run("text", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			markText(data, at, heard, false)
		}
	})
	b.Run("frames", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e, _ := decodeData(data)
			e, _ = appendArg(e, offsetOf(at, heard))
			newOutgoing(e, NoID, false)
		}
	})
}
