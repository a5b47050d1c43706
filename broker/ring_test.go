package broker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// What the ring had no more room for stands in a Gap, to the number; all that
// it still holds is repaired.
func TestEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{Buffer: 10 << 10})
		y.faults.set(func(f *faults) { f.deaf = true })
		body := strings.Repeat(".", 1000)
		for i := range 20 {
			if i%4 == 0 {
				ok(t, x.Send(y.Self().ID, "a", fmt.Append(nil, i, body)))
			} else {
				ok(t, x.Broadcast("a", fmt.Append(nil, i, body)))
			}
			synctest.Wait() // it has left, so there is room for the next
		}
		if bytes, counted, waits := x.Kept(); bytes != counted || bytes > 10<<10 || waits != 0 {
			t.Errorf("%d bytes are kept, %d by count, of which %d wait; at most %d may be", bytes, counted, waits, 10<<10)
		}
		y.faults.set(func(f *faults) { f.deaf = false })
		time.Sleep(2 * time.Second)
		want := []string{"x gap 0-11"}
		for i := 11; i < 20; i++ {
			want = append(want, fmt.Sprint("x: ", i, body))
		}
		equal(t, y.take(), want...)
	})
}

// A message is kept for 30 s after it has left, and while it waits for ever.
func TestAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{})
		x.faults.set(func(f *faults) { f.away = true })
		ok(t, x.Broadcast("a", []byte("waits")))
		time.Sleep(time.Minute)
		x.faults.set(func(f *faults) { f.away = false })
		time.Sleep(time.Second)
		if h := strings.Join(y.take(), " "); !strings.Contains(h, "x: waits") {
			t.Errorf("got %q", h)
		}
		time.Sleep(28 * time.Second)
		if bytes, _, _ := x.Kept(); bytes == 0 {
			t.Error("nothing is kept after 29 s")
		}
		time.Sleep(4 * time.Second)
		if bytes, _, _ := x.Kept(); bytes != 0 {
			t.Errorf("%d bytes are kept after 33 s", bytes)
		}
		ok(t, x.Broadcast("a", []byte("on")))
		equal(t, y.take(), "x: on")
	})
}

// While one topic is stuck, what others were sent makes room; what waits does
// not, and arrives in the end.
func TestStuckTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		x := start(t, hub, "x", broker.Options{Buffer: 20 << 10})
		y := start(t, hub, "y", broker.Options{})
		z := start(t, hub, "z", broker.Options{})
		synctest.Wait()
		x.take()
		y.take()
		z.take()
		x.faults.set(func(f *faults) { f.pause, f.paused = make(chan struct{}), y.Self().ID.String() })
		ok(t, x.Send(y.Self().ID, "a", []byte("slow")))
		var want []string
		for i := range 100 {
			ok(t, x.Send(z.Self().ID, "a", fmt.Appendf(nil, "%d%01000d", i, 0)))
			synctest.Wait()
			want = append(want, fmt.Sprintf("x: %d%01000d", i, 0))
		}
		if bytes, counted, waits := x.Kept(); bytes != counted || bytes > 20<<10 || waits == 0 {
			t.Errorf("%d bytes are kept, %d by count, of which %d wait", bytes, counted, waits)
		}
		equal(t, z.take(), want...)
		x.faults.set(func(f *faults) { close(f.pause); f.pause = nil })
		time.Sleep(time.Second)
		equal(t, y.take(), "x: slow")
		ok(t, x.Broadcast("a", []byte("all")))
		equal(t, y.take(), "x: all")
		equal(t, z.take(), "x: all")
	})
}

// What waits may fill the buffer, but not exceed it, and one message that
// never fits is refused as such.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{Buffer: 100 << 10})
		if err := x.Broadcast("a", make([]byte, 200<<10)); !errors.Is(err, broker.ErrTooLarge) {
			t.Errorf("got %v, want ErrTooLarge", err)
		}
		x.faults.set(func(f *faults) { f.away = true })
		n := 0
		for ; ; n++ {
			if err := x.Send(y.Self().ID, "a", make([]byte, 1000)); err != nil {
				if !errors.Is(err, broker.ErrOverflow) {
					t.Errorf("got %v, want ErrOverflow", err)
				}
				break
			}
		}
		if n != 90 {
			t.Errorf("%d were taken, want 90", n)
		}
	})
}
