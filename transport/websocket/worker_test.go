package websocket

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func takeAll(q *runQueue, n int) (calls int) {
	for got := 0; got < n; calls++ {
		got += len(q.take(make([]*Conn, 0, turn)))
	}
	return calls
}

func fill(q *runQueue, n int) {
	for range n {
		q.push(new(Conn))
	}
}

// A few Conns are written to at once; to a crowd a moment later, together with
// those that come meanwhile.
func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q runQueue
		q.init(time.Millisecond)
		start := time.Now()
		fill(&q, crowd-1)
		takeAll(&q, crowd-1)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("few waited for %v", waited)
		}

		fill(&q, crowd)
		time.AfterFunc(time.Millisecond/2, func() { fill(&q, 10) })
		takeAll(&q, crowd+10)
		if waited := time.Since(start); waited != time.Millisecond {
			t.Errorf("a crowd waited for %v, want 1ms", waited)
		}
	})
}

// The slower a round was, the longer the next waits, within bounds.
func TestLingerAdapts(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0:                     time.Millisecond,
		3 * time.Millisecond:  3 * time.Millisecond,
		20 * time.Millisecond: 4 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			var q runQueue
			q.init(time.Millisecond)
			fill(&q, crowd)
			q.take(make([]*Conn, 0, turn))
			time.Sleep(took) // writing
			takeAll(&q, crowd-turn)

			fill(&q, crowd)
			start := time.Now()
			takeAll(&q, crowd)
			if waited := time.Since(start); waited != want {
				t.Errorf("after a round of %v: waited for %v, want %v", took, waited, want)
			}
		})
	}
}

func TestNoLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q runQueue
		q.init(-1)
		start := time.Now()
		fill(&q, 10*crowd)
		takeAll(&q, 10*crowd)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("waited for %v", waited)
		}
	})
}

// Whatever is pushed while workers wait, write or linger is taken, and close
// wakes them all.
func TestRunQueueForgetsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q runQueue
		q.init(time.Millisecond)
		var mu sync.Mutex
		taken := 0
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for {
					conns := q.take(make([]*Conn, 0, turn))
					if len(conns) == 0 {
						return
					}
					mu.Lock()
					taken += len(conns)
					mu.Unlock()
					time.Sleep(time.Duration(len(conns)) * 10 * time.Microsecond)
				}
			})
		}
		pushed := 0
		for i := range 200 {
			n := i * 37 % 150
			fill(&q, n)
			pushed += n
			time.Sleep(time.Duration(i%7) * 300 * time.Microsecond)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		mu.Lock()
		if taken != pushed {
			t.Errorf("got %d of %d", taken, pushed)
		}
		mu.Unlock()
		fill(&q, crowd) // somebody lingers
		q.close()
		wg.Wait()
	})
}
