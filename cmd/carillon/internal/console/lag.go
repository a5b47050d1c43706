package console

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// lags has how long messages of one node took in the last seconds.
type lags struct {
	counted [lagBuckets]atomic.Uint32

	// What follows is that of the one goroutine that calls turn and last.
	before [lagBuckets]uint32 // counted, at the last turn
	turns  [lagTurns][lagBuckets]uint32
	now    int
}

const (
	lagTurns   = 10 // seconds that are looked at
	lagBuckets = 25 << lagSteps
	lagSteps   = 2 // four buckets from a power of two to the next: a fifth off at most
)

// add counts one lag. It takes no lock.
func (l *lags) add(d time.Duration) { l.counted[bucketOf(d)].Add(1) }

// bucketOf finds the bucket of a duration, by its microseconds: those below
// four have one each, then each doubling has four. The last has a minute
// and more.
func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0).Microseconds())
	shift := bits.Len64(us >> lagSteps)
	if shift == 0 {
		return int(us)
	}
	shift--
	return min((shift<<lagSteps)+int(us>>shift), lagBuckets-1)
}

// middle is what a bucket stands for, in milliseconds.
func middle(bucket int) float64 {
	if bucket < 1<<lagSteps {
		return float64(bucket) / 1000
	}
	shift := bucket>>lagSteps - 1
	low := uint64(bucket-shift<<lagSteps) << shift
	return (float64(low) + float64(uint64(1)<<shift)/2) / 1000
}

// turn ends a second.
func (l *lags) turn() {
	l.now = (l.now + 1) % lagTurns
	for i := range l.counted {
		n := l.counted[i].Load()
		l.turns[l.now][i] = n - l.before[i] // right also where a count overflowed
		l.before[i] = n
	}
}

// A Lag is how long what a node sent took to this one, in milliseconds, over
// the last ten seconds: see broker.Hooks.Lag.
type Lag struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// last returns the Lag over the last turns, or nil if there was nothing.
func (l *lags) last() *Lag {
	var sums [lagBuckets]uint64
	var all uint64
	for t := range l.turns {
		for i, n := range l.turns[t] {
			sums[i] += uint64(n)
			all += uint64(n)
		}
	}
	if all == 0 {
		return nil
	}
	quantile := func(of float64) float64 {
		rank := uint64(of*float64(all-1)) + 1
		for i, n := range sums {
			if rank <= n {
				return middle(i)
			}
			rank -= n
		}
		return middle(lagBuckets - 1)
	}
	return &Lag{P50: quantile(.5), P99: quantile(.99)}
}
