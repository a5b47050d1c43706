package bench

import (
	"context"
	"time"
)

// pace calls send with the times at which messages are to be sent, rate a
// second, from now for as long as until. If send or sleep took too long, those
// that are overdue follow at once, each with the time that it was due at: so
// what they waited for counts against them.
func pace(ctx context.Context, rate float64, until time.Duration, sleep func(time.Duration), send func(i int, due time.Time)) {
	start := time.Now()
	for i := 0; ; i++ {
		after := time.Duration(float64(i) / rate * float64(time.Second))
		if after >= until {
			return
		}
		due := start.Add(after)
		for wait := time.Until(due); wait > 0; wait = time.Until(due) {
			sleep(min(wait, 100*time.Millisecond)) // so that ctx is heard
			if ctx.Err() != nil {
				return
			}
		}
		if ctx.Err() != nil {
			return
		}
		send(i, due)
	}
}
