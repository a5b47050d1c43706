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
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := decodeMessage(in)
		if err != nil {
			return
		}
		once := m.append(nil)
		again, err := decodeMessage(once)
		if err != nil || !reflect.DeepEqual(again.target, m.target) || !bytes.Equal(again.body, m.body) || again.namespace != m.namespace {
			t.Errorf("%q encodes as %q, which does not come back (%v)", in, once, err)
		}
		decodeRooms(m.body)
	})
}

func FuzzDecodeInfos(f *testing.F) {
	f.Add(appendInfos(nil, []Info{{ID: "a", Rooms: []Room{"a", "b"}, Data: []byte("x")}, {}}))
	f.Fuzz(func(t *testing.T, in []byte) {
		infos, err := decodeInfos(in, "n")
		if err != nil {
			return
		}
		if again, err := decodeInfos(appendInfos(nil, infos), "n"); err != nil || len(again) != len(infos) {
			t.Errorf("%q does not come back: %v", in, err)
		}
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add(appendAnswer(nil, 7, "socket", []byte("yes"), true))
	f.Add(appendAnswer(nil, 1<<40, "", nil, false))
	f.Fuzz(func(t *testing.T, in []byte) {
		ask, id, body, ok, err := decodeAnswer(in)
		if err != nil {
			return
		}
		once := appendAnswer(nil, ask, id, body, ok)
		ask2, id2, body2, ok2, err := decodeAnswer(once)
		if err != nil || ask2 != ask || id2 != id || !bytes.Equal(body2, body) || ok2 != ok {
			t.Errorf("%q encodes as %q, which does not come back (%v)", in, once, err)
		}
	})
}
