package socketio

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Goroutines are used again while there is work, leave when there is none, and
// all are gone after finish.
func TestCrew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c crew
		c.init()
		var mu sync.Mutex
		ran := 0
		do := func(n int) {
			boxes := make([]inbox, n)
			for i := range boxes {
				boxes[i].push(&c, false, func() {
					time.Sleep(time.Millisecond)
					mu.Lock()
					ran++
					mu.Unlock()
				})
			}
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
		}
		waiting := func(want int32) {
			t.Helper()
			if got := c.waiting.Load(); got != want {
				t.Errorf("%d goroutines wait, want %d", got, want)
			}
		}
		do(10)
		waiting(10)
		do(4)
		waiting(10)
		do(3 * reserve)
		waiting(reserve)
		time.Sleep(2 * moment)
		synctest.Wait()
		waiting(0)
		do(1)
		waiting(1)
		c.finish()
		waiting(0)
		if want := 10 + 4 + 3*reserve + 1; ran != want {
			t.Errorf("%d jobs ran, want %d", ran, want)
		}
	})
}
