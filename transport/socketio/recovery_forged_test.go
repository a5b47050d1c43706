package socketio_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever a client claims on another node than that of the session, it is let
// in, soon, as somebody else; and whose session it is loses nothing.
func TestForgedTicketsElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newBubbles(t, 3)
		owner := all[0].Of("/").Node()
		before := all[0].arrive()
		check(t, all[0].Of("/").Emit("e", 0))
		before.numbers(t, 1)
		check(t, all[0].Of("/").Emit("e", 0))
		v := all[0].arrive()
		check(t, all[0].Of("/").Emit("e", 1))
		v.numbers(t, 1)
		for name, forged := range map[string]visitor{
			"a pid that is made up":          {pid: owner + "~AAAAAAAAAAAAAAAAAAAAAAAAAA"},
			"of a node that there never was": {pid: "nobodyAA~AAAAAAAAAAAAAAAAAAAAAAAAAA"},
			"of no node":                     {pid: "~"},
			"a pid of 10 KB":                 {pid: owner + "~" + strings.Repeat("A", 10<<10)},
			"an offset of 10 KB":             {pid: v.pid, offset: strings.Repeat("1", 10<<10)},
			"an offset from the future":      {pid: v.pid, offset: "1" + owner + ".zzzzzz"},
			"an offset that overflows":       {pid: v.pid, offset: "1" + owner + "." + strings.Repeat("z", 40)},
			"an offset of another node":      {pid: v.pid, offset: "1" + all[1].Of("/").Node() + ".1"},
			"an offset before the session":   {pid: v.pid, offset: before.offset},
			"an offset that is none":         {pid: v.pid, offset: "\x00"},
		} {
			for _, b := range all[1:] {
				f := forged
				start := time.Now()
				if f.back(b); f.recovered || f.sid == v.sid || f.sid == before.sid {
					t.Errorf("%s: recovered %v", name, f.recovered)
				}
				if d := time.Since(start); d > 3*time.Second {
					t.Errorf("%s: let in after %v", name, d)
				}
				f.cut()
			}
		}
		check(t, all[1].Of("/").Emit("e", 2))
		if got := v.numbers(t, 1); !slices.Equal(got, []int{2}) {
			t.Errorf("got %v", got)
		}
		v.cut()
		before.cut()
		time.Sleep(100 * time.Millisecond)
		if v.back(all[2]); !v.recovered {
			t.Errorf("who is in the right is not recovered: %v %v", all[0].counted().notRecovered, all[2].counted().notRecovered)
		}
		v.cut()
	})
}

// A COMMIT that nothing was granted for, or that comes once more, does nothing.
func TestReplayedCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newBubbles(t, 3)
		v := all[0].arrive()
		for i, to := range []int{1, 2, 0} {
			for _, b := range all {
				for _, from := range all {
					for term := range uint64(8) {
						b.Of("/").Commit(from.Of("/").Node(), v.pid, term)
					}
				}
			}
			check(t, all[i].Of("/").Emit("e", i))
			if got := v.numbers(t, 1); !slices.Equal(got, []int{i}) {
				t.Fatalf("got %v", got)
			}
			v.cut()
			time.Sleep(100 * time.Millisecond)
			if v.back(all[to]); !v.recovered {
				t.Fatalf("not recovered on node %d", to)
			}
		}
		v.cut()
	})
}

// Of two clients with one identifier, on two nodes, the newer has the session,
// and the older is cut, once: nothing goes back and forth.
func TestTwoClientsOnTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newBubbles(t, 2)
		v := all[0].arrive()
		thief := *v
		if thief.back(all[1]); !thief.recovered {
			t.Fatal("the newer is not recovered")
		}
		if packet, err := v.next(); err == nil {
			t.Errorf("the older gets %q", packet)
		}
		time.Sleep(time.Second)
		check(t, all[0].Of("/").Emit("e", 1))
		if got := thief.numbers(t, 1); !slices.Equal(got, []int{1}) {
			t.Errorf("the newer gets %v", got)
		}
		moves := all[0].counted().parked + all[1].counted().parked
		if v.back(all[0]); !v.recovered { // and now it is the newer
			t.Error("not recovered")
		}
		if packet, err := thief.next(); err == nil {
			t.Errorf("the older gets %q", packet)
		}
		if now := all[0].counted().parked + all[1].counted().parked; now-moves > 2 { // there, and on its way here
			t.Errorf("parked %d times", now-moves)
		}
		v.cut()
		thief.cut()
	})
}
