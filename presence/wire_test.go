package presence

import (
	"reflect"
	"testing"
)

func FuzzDecode(f *testing.F) {
	f.Add(appendChange(nil, entry{"alice", 2}))
	for _, p := range pages(map[string]int{"alice": 1, "bob": 300, "": 0}) {
		f.Add(p)
	}
	f.Add([]byte{kindPull})
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := decode(in)
		if err != nil || m.kind != kindPage {
			return
		}
		b := []byte{kindPage, m.flags}
		for _, e := range m.entries {
			b = e.append(b)
		}
		if again, err := decode(b); err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%q encodes as %q, which does not come back (%v)", in, b, err)
		}
	})
}

func TestPages(t *testing.T) {
	held := make(map[string]int)
	for i := range 10_000 {
		held[string(rune(i+0x4e00))+"some user's name"] = i + 1
	}
	got := make(map[string]int)
	all := pages(held)
	for i, p := range all {
		m, err := decode(p)
		if err != nil || len(p) > pageSize+100 {
			t.Fatalf("page %d of %d bytes: %v", i, len(p), err)
		}
		if (m.flags&pageFirst != 0) != (i == 0) || (m.flags&pageLast != 0) != (i == len(all)-1) {
			t.Errorf("page %d of %d has flags %d", i, len(all), m.flags)
		}
		for _, e := range m.entries {
			got[e.user] = e.devices
		}
	}
	if !reflect.DeepEqual(got, held) {
		t.Errorf("%d entries come back of %d", len(got), len(held))
	}
}
