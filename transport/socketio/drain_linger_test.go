package socketio_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/socketio"
)

// Where another node is there to take over, those who are told to go are kept,
// and their node lingers for them; where none is, nothing is.
func TestDrainLingers(t *testing.T) {
	for _, c := range []struct {
		name     string
		recovery bool
		heirs    func() bool
		parked   int
		took     time.Duration
	}{
		{"heirs", true, func() bool { return true }, 3, 7 * time.Second}, // the clients don't answer, for 2s
		{"no heirs", true, func() bool { return false }, 0, 0},
		{"nobody says", true, nil, 0, 0},
		{"no recovery", false, func() bool { return true }, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, socketio.Options{Recovery: socketio.Recovery{Enabled: c.recovery}})
				for range 3 {
					b.arrive()
				}
				start := time.Now()
				err := b.Drain(t.Context(), socketio.DrainOptions{Heirs: c.heirs, Pace: engineio.Pace{}})
				if took := time.Since(start); err != nil || took < c.took-200*time.Millisecond || took > c.took+200*time.Millisecond {
					t.Errorf("took %v, %v; want %v", took, err, c.took)
				}
				if got := b.RecoveryStats().Parked; got != c.parked {
					t.Errorf("%d are kept, want %d", got, c.parked)
				}
			})
		})
	}
}

// ctx, as of a second signal, ends the wait; and so does the end of the last
// node that could take over.
func TestDrainLingersNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, socketio.Options{Recovery: socketio.Recovery{Enabled: true}})
		b.arrive()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		err := b.Drain(ctx, socketio.DrainOptions{Heirs: func() bool { return true }, Linger: time.Minute})
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 3*time.Second {
			t.Errorf("ctx: %v after %v", err, took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, socketio.Options{Recovery: socketio.Recovery{Enabled: true}})
		b.arrive()
		start := time.Now()
		err := b.Drain(t.Context(), socketio.DrainOptions{
			Heirs: func() bool { return time.Since(start) < 4*time.Second }, Linger: time.Minute,
		})
		if took := time.Since(start); err != nil || took > 4100*time.Millisecond {
			t.Errorf("heirs gone: %v after %v", err, took)
		}
	})
}
