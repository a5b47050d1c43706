package adapter

import (
	"bytes"
	"reflect"
	"testing"
)

func FuzzDecodeMessage(f *testing.F) {
	for _, m := range []message{
		{kind: kindBroadcast, namespace: "/", body: []byte("x")},
		{kind: kindJoin, flags: 1, namespace: "/a", target: Target{Rooms: []Room{"a", ""}, Except: []Room{"b"}}, body: appendRooms(nil, []Room{"r"})},
	} {
		f.Add(m.append(nil))
		m.trace = "00-1-2-01"
		f.Add(m.append(nil))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := decodeMessage(in)
		if err != nil {
			return
		}
		once := m.append(nil)
		again, err := decodeMessage(once)
		if err != nil || !reflect.DeepEqual(again.target, m.target) || !bytes.Equal(again.body, m.body) || again.namespace != m.namespace ||
			again.trace != m.trace || again.flags != m.flags {
			t.Errorf("%q encodes as %q, which does not come back (%v)", in, once, err)
		}
		decodeRooms(m.body)
	})
}

func FuzzDecodeInfos(f *testing.F) {
	page := appendInfo(nil, &Info{ID: "a", Rooms: []Room{"a", "b"}, Data: []byte("x")})
	f.Add(appendInfo(page, &Info{}))
	f.Fuzz(func(t *testing.T, in []byte) {
		infos, err := decodeInfos(nil, in, "n")
		if err != nil {
			return
		}
		var once []byte
		for i := range infos {
			once = appendInfo(once, &infos[i])
		}
		if again, err := decodeInfos(nil, once, "n"); err != nil || !reflect.DeepEqual(again, infos) {
			t.Errorf("%q does not come back: %v", in, err)
		}
	})
}

func FuzzDecodeRoomSizes(f *testing.F) {
	f.Add(appendRoomSize(appendRoomSize(nil, "a", 1), "", 1<<20))
	f.Fuzz(func(t *testing.T, in []byte) {
		sizes := make(map[Room]int)
		if decodeRoomSizes(sizes, in) != nil {
			return
		}
		var once []byte
		for room, n := range sizes {
			once = appendRoomSize(once, room, min(n, 1<<31))
		}
		again := make(map[Room]int)
		if err := decodeRoomSizes(again, once); err != nil || len(again) != len(sizes) {
			t.Errorf("%q does not come back: %v", in, err)
		}
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add(appendAnswer(nil, 7, "socket", answered, []byte("yes")))
	f.Add(appendAnswer(nil, 1<<40, "", gone, nil))
	f.Add(appendAnswer(nil, 0, "", refused, []byte("no")))
	f.Fuzz(func(t *testing.T, in []byte) {
		ask, id, what, body, err := decodeAnswer(in)
		if err != nil {
			return
		}
		once := appendAnswer(nil, ask, id, what, body)
		ask2, id2, what2, body2, err := decodeAnswer(once)
		if err != nil || ask2 != ask || id2 != id || !bytes.Equal(body2, body) || what2 != what {
			t.Errorf("%q encodes as %q, which does not come back (%v)", in, once, err)
		}
	})
}

// A node that does not know of traces reads the message all the same, and
// leaves out the members of a room that nobody is in.
func TestTraceForOldNodes(t *testing.T) {
	want := message{
		kind: kindAsk, flags: flagVolatile, namespace: "/a", trace: "00-1-2-01", body: []byte("x"),
		target: Target{Rooms: []Room{"a"}, Except: []Room{"b"}},
	}
	wire := want.append(nil)
	if got, err := decodeMessage(wire); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	wire[1] &^= flagTraced // as if it were not there
	want.target.Except, want.trace = append(want.target.Except, Room(want.trace)), ""
	if got, err := decodeMessage(wire); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("an old node: got %+v, %v, want %+v", got, err, want)
	}
	if _, err := decodeMessage((&message{kind: kindBroadcast, flags: flagTraced}).append(nil)); err == nil {
		t.Error("a trace that is not there: got no error")
	}
}
