package bench

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// fakeLoad is a load on a server that answers after what latency returns for
// the moment of sending, since the beginning; a negative one is never.
func fakeLoad(latency func(since time.Duration) time.Duration, rate float64, duration time.Duration) (*load, *int) {
	begin := time.Now()
	l := &load{
		clock:   func() int64 { return int64(time.Since(begin)) },
		sleep:   time.Sleep,
		open:    rate > 0,
		timeout: 5 * time.Second,
		took:    newLatencies(),
		to:      int64(duration),
		slots:   make([]slot, 1000),
	}
	sent := 0
	l.send = func(slot int, at int64) {
		sent++
		l.expect(slot, at, 1)
		d := latency(time.Since(begin))
		if d < 0 {
			return
		}
		time.AfterFunc(d, func() { l.deliver(0, mark{slot, at}, l.clock()) })
	}
	return l, &sent
}

// stalls is the latency of a server that takes a millisecond, but stands still
// from second 2 to second 3.
func stalls(since time.Duration) time.Duration {
	if since >= 2*time.Second && since < 3*time.Second {
		return 3*time.Second - since + time.Millisecond
	}
	return time.Millisecond
}

// In an open loop a server that stands still for one second of ten makes late
// all that is sent in that second.
func TestOpenLoopOmitsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, sent := fakeLoad(stalls, 100, 10*time.Second)
		l.run(t.Context(), 0, 100)
		q := quantiles(l.took.sum())
		if *sent != 1000 || q.Count != 1000 {
			t.Fatalf("got %d sent, %d measured, want 1000", *sent, q.Count)
		}
		if q.P50 != 1 || q.P90 > 15 || q.P99 < 850 || q.Max < 1000 || q.Max > 1002 {
			t.Errorf("got %+v, want a tenth of all to have waited for up to a second", *q)
		}
	})
}

// A closed loop waits with the server: one message is late.
func TestClosedLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, sent := fakeLoad(stalls, 0, 10*time.Second)
		l.run(t.Context(), 1, 0)
		q := quantiles(l.took.sum())
		if *sent < 8900 || *sent > 9100 {
			t.Errorf("got %d sent, want one each millisecond but for a second", *sent)
		}
		if q.P99 != 1 || q.Max < 1000 {
			t.Errorf("got %+v, want one that waited for a second", *q)
		}
	})
}

// When sending takes long, what is overdue follows at once, and counts from
// when it was due.
func TestPaceCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var late []time.Duration
		pace(t.Context(), 100, time.Second, time.Sleep, func(i int, due time.Time) {
			if want := start.Add(time.Duration(i) * 10 * time.Millisecond); !due.Equal(want) {
				t.Errorf("message %d: due %v, want %v", i, due.Sub(start), want.Sub(start))
			}
			late = append(late, time.Since(due))
			if i == 10 {
				time.Sleep(205 * time.Millisecond)
			}
		})
		if len(late) != 100 {
			t.Fatalf("got %d messages, want 100", len(late))
		}
		if late[10] != 0 || late[11] != 195*time.Millisecond || late[30] != 5*time.Millisecond || late[31] != 0 {
			t.Errorf("got %v, %v, %v, %v late", late[10], late[11], late[30], late[31])
		}
	})
}

func TestPaceEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n := 0
		pace(ctx, 1, time.Hour, time.Sleep, func(int, time.Time) { n++ })
		if n != 1 && n != 2 {
			t.Errorf("got %d messages in a second", n)
		}
	})
}

// What does not arrive is counted, and the next message takes its place.
func TestLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := func(since time.Duration) time.Duration {
			if since < time.Second {
				return time.Second
			}
			return -1
		}
		l, sent := fakeLoad(deaf, 0, 20*time.Second)
		l.run(t.Context(), 1, 0)
		c := l.read()
		if c.completed != 1 || c.lost < 3 || c.lost > 4 || int(c.lost)+1 != *sent {
			t.Errorf("got %+v of %d sent, want one each 5s after the first", c, *sent)
		}
	})
}

// A message that comes when it has been given up is not taken for the one
// that is in its place.
func TestLate(t *testing.T) {
	l := &load{slots: make([]slot, 1), took: newLatencies(), to: 100, clock: func() int64 { return 0 }, open: true}
	l.expect(0, 7, 2)
	l.deliver(0, mark{0, 3}, 9)
	l.deliver(0, mark{5, 7}, 9)
	if left := l.slots[0].left.Load(); left != 2 {
		t.Errorf("got %d left, want 2", left)
	}
	l.deliver(0, mark{0, 7}, 9)
	l.deliver(0, mark{0, 7}, 9)
	if c := l.read(); c.completed != 1 || c.delivered != 4 {
		t.Errorf("got %+v, want one complete", c)
	}
}

func TestQuantiles(t *testing.T) {
	l := newLatencies()
	for i := range 1000 {
		l.record(i, time.Duration(i+1)*time.Millisecond)
	}
	l.record(0, time.Hour) // beyond what is kept
	q := quantiles(l.sum())
	near := func(got, want float64) bool { return got >= want*0.998 && got <= want*1.002 }
	if q.Count != 1001 || !near(q.P50, 501) || !near(q.P90, 901) || !near(q.P99, 991) || !near(q.Max, 120_000) {
		t.Errorf("got %+v", *q)
	}
	if quantiles(newHistogram()) != nil {
		t.Error("got quantiles of nothing")
	}
}
