package limit

import (
	"time"

	"golang.org/x/time/rate"
)

// A bucket is a token bucket whose Rate may change. The zero bucket is full,
// and takes no memory until there is a bound. It needs a lock of its owner.
type bucket struct {
	rate    Rate
	limiter *rate.Limiter
}

func (r Rate) burst() int {
	if r.Burst > 0 {
		return r.Burst
	}
	return r.PerSecond
}

// take takes n tokens, or says when there will be as many; it reports false if
// there never will.
func (b *bucket) take(r Rate, n int, now time.Time) (wait time.Duration, possible bool) {
	b.set(r, now)
	if b.limiter == nil {
		return 0, true
	}
	taken := b.limiter.ReserveN(now, n)
	if !taken.OK() {
		return 0, false
	}
	if wait = taken.DelayFrom(now); wait > 0 {
		taken.CancelAt(now)
	}
	return wait, true
}

// set makes r the bucket's Rate.
func (b *bucket) set(r Rate, now time.Time) {
	switch {
	case r == b.rate:
	case r.PerSecond <= 0:
		b.limiter = nil
	case b.limiter == nil:
		b.limiter = rate.NewLimiter(rate.Limit(r.PerSecond), r.burst())
	default:
		b.limiter.SetLimitAt(now, rate.Limit(r.PerSecond))
		b.limiter.SetBurstAt(now, r.burst())
	}
	b.rate = r
}

// full reports whether the bucket may as well be forgotten.
func (b *bucket) full(now time.Time) bool {
	return b.limiter == nil || b.limiter.TokensAt(now) >= float64(b.limiter.Burst())
}
