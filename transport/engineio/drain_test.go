package engineio_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/engineio"
)

// unanswered is how long a session lives on whose client does not answer a close
// frame.
const unanswered = 2 * time.Second

// A drain spreads the ends of sessions over its period, in the way of each
// transport, and lets nobody new in.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 500
		ends := make(chan time.Time, n)
		opts := engineio.Options{PingInterval: time.Hour}
		opts.Hooks.Closed = func(string, engineio.Reason, error) { ends <- time.Now() }
		r := newRig(t, opts, true)
		c, p := r.session()
		p.Send(transport.Text("4before"))
		for range n - 1 {
			r.session()
		}
		start := time.Now()
		done := make(chan error, 1)
		go func() { done <- r.Drain(t.Context(), engineio.Pace{Period: 2 * time.Second}) }()
		synctest.Wait()
		r.want(r.get("&transport=polling"), 503, `{"code":4,"message":"Server shutting down"}`)

		c.want("4before")
		c.wantClose(websocket.StatusGoingAway)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < 1500*time.Millisecond || took > 2500*time.Millisecond {
			t.Errorf("took %v, want about 2s", took)
		}
		synctest.Wait()
		var half, last time.Duration
		for i := range n {
			last = (<-ends).Sub(start) - unanswered
			if i == n/2 {
				half = last
			}
		}
		if half < 700*time.Millisecond || half > 1300*time.Millisecond {
			t.Errorf("half of them ended after %v, the last after %v", half, last)
		}
	})
}

// Few clients are no crowd: they are told soon.
func TestDrainOfFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, engineio.Options{}, true)
		start := time.Now()
		if err := r.Drain(t.Context(), engineio.Pace{Period: time.Hour}); err != nil || time.Since(start) > 0 {
			t.Errorf("of none: %v after %v", err, time.Since(start))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, engineio.Options{}, true)
		for range 5 {
			r.session()
		}
		start := time.Now()
		if err := r.Drain(t.Context(), engineio.Pace{Period: time.Hour}); err != nil || time.Since(start) > 200*time.Millisecond {
			t.Errorf("of five: %v after %v", err, time.Since(start))
		}
	})
}

// ctx ends a drain, and Shutdown the rest at once.
func TestDrainEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, engineio.Options{}, true)
		for range 100 {
			r.session()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := r.Drain(ctx, engineio.Pace{Period: 2 * time.Second}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		time.Sleep(unanswered) // those that were told end
		if left := r.Sessions(); left < 20 || left > 80 {
			t.Errorf("%d are left at half of the time", left)
		}
		if err := r.Shutdown(t.Context()); err != nil || time.Since(start) > time.Second+2*unanswered {
			t.Errorf("shut down after %v: %v", time.Since(start), err)
		}
	})
}

// Servers that drain together are each so many times slower, and a rate bounds
// them all.
func TestDrainPace(t *testing.T) {
	for _, c := range []struct {
		name  string
		pace  engineio.Pace
		wants time.Duration
	}{
		{"period", engineio.Pace{Period: time.Second}, time.Second},
		{"rate", engineio.Pace{Rate: 100}, 2 * time.Second},
		{"rate above the period's", engineio.Pace{Period: time.Second, Rate: 1000}, time.Second},
		{"shared", engineio.Pace{Period: time.Second, Share: func() int { return 3 }}, 3 * time.Second},
		{"shared rate", engineio.Pace{Rate: 100, Share: func() int { return 2 }}, 4 * time.Second},
		{"at once", engineio.Pace{Share: func() int { return 2 }}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, engineio.Options{}, true)
				for range 200 {
					r.session()
				}
				start := time.Now()
				if err := r.Drain(t.Context(), c.pace); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took < c.wants*3/4 || took > c.wants*5/4 {
					t.Errorf("took %v, want about %v", took, c.wants)
				}
			})
		})
	}
}

// A client that is told to go away, and neither answers nor fetches what is
// queued, has gone in two seconds, also in the midst of an upgrade.
func TestGoAwayIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, engineio.Options{}, true)
		_, silent := r.session()
		_, idle := r.poll()
		idle.Send(transport.Text("4never fetched"))
		start := time.Now()
		silent.GoAway()
		idle.GoAway()
		time.Sleep(time.Second)
		idle.GoAway() // prolongs nothing
		silent.want(t, engineio.ReasonForcedClose)
		idle.want(t, engineio.ReasonForcedClose)
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %v, want 2s", took)
		}
	})
}

func TestBuffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, engineio.Options{}, true)
		_, p := r.poll()
		r.poll()
		if got := r.Buffered(); got != 0 {
			t.Errorf("got %d of sessions to which nothing was sent", got)
		}
		p.Send(transport.Text("4hello"))
		if got := r.Buffered(); got != len("4hello") {
			t.Errorf("got %d", got)
		}
	})
}
