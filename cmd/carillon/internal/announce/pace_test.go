package announce

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/presence"
)

func change(seq uint64, kind presence.Kind, user, status string) presence.Change {
	return presence.Change{Seq: seq, Kind: kind, User: user, Status: status}
}

func TestPace(t *testing.T) {
	const on, off, news = presence.Online, presence.Offline, presence.Updated
	for _, c := range []struct {
		name    string
		changes []presence.Change
		want    string
	}{
		{"in order", []presence.Change{change(1, on, "b", ""), change(2, on, "a", "")}, "1 online b, 2 online a"},
		{"came and went", []presence.Change{change(1, on, "a", ""), change(2, off, "a", "")}, ""},
		{"went and came", []presence.Change{change(1, off, "a", ""), change(2, on, "a", "")}, ""},
		{"came back with a status", []presence.Change{change(1, off, "a", ""), change(2, on, "a", "away")}, "2 updated a away"},
		{"came, went and came", []presence.Change{change(1, on, "a", ""), change(2, off, "a", ""), change(3, on, "a", "")}, "3 online a"},
		{"a status and then gone", []presence.Change{change(1, news, "a", "away"), change(2, off, "a", "")}, "2 offline a"},
		{"the last status", []presence.Change{change(1, news, "a", "away"), change(2, news, "a", "busy")}, "2 updated a busy"},
		{"came and has a status", []presence.Change{change(1, on, "a", ""), change(2, news, "a", "busy")}, "2 online a busy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex // guards told
				var told []string
				took := func() []string {
					mu.Lock()
					defer mu.Unlock()
					defer func() { told = nil }()
					return told
				}
				p := newPace(func(cs []presence.Change) int {
					mu.Lock()
					defer mu.Unlock()
					for _, c := range cs {
						told = append(told, strings.TrimSpace(fmt.Sprint(c.Seq, " ", c.Kind, " ", c.User, " ", c.Status)))
					}
					return 1 << 20 // so that the rest is gathered
				}, budget(time.Second))
				p.add(change(0, on, "first", ""))
				synctest.Wait()
				if got := took(); !slices.Equal(got, []string{"0 online first"}) {
					t.Errorf("after a quiet time told %q at once, want the first change", got)
				}
				for _, c := range c.changes {
					p.add(c)
				}
				time.Sleep(999 * time.Millisecond)
				synctest.Wait()
				if got := took(); got != nil {
					t.Errorf("told %q within the window", got)
				}
				time.Sleep(2 * time.Millisecond)
				synctest.Wait()
				if got := strings.Join(took(), ", "); got != c.want {
					t.Errorf("told %q, want %q", got, c.want)
				}
				p.close()
			})
		})
	}
}

// What telling costs sets the gap, so that few clients wait for nothing.
func TestBudget(t *testing.T) {
	gap := budget(500 * time.Millisecond)
	for frames, want := range map[int]time.Duration{0: 0, 50: time.Millisecond, 10_000: 200 * time.Millisecond, 1 << 30: 500 * time.Millisecond} {
		if got := gap(frames); got != want {
			t.Errorf("after %d frames a gap of %v, want %v", frames, got, want)
		}
	}
}
