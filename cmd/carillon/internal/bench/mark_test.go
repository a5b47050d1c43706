package bench

import "testing"

func TestMark(t *testing.T) {
	for _, m := range []mark{{0, 0}, {maxSlots, 1<<(4*stampLen) - 1}, {3, 12345678901}} {
		packet := []byte(`["message",{"from":"cbm","data":"` + m.String() + `xxx"}]`)
		if got, ok := findMark(packet); !ok || got != m {
			t.Errorf("got %v, %v, want %v", got, ok, m)
		}
	}
	for _, text := range []string{"", "cbm", "cbm000", `["message",{"data":"cbmzzzzz00000000000000"}]`} {
		if m, ok := findMark([]byte(text)); ok {
			t.Errorf("%q: got %v, want none", text, m)
		}
	}
}
