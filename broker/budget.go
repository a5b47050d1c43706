package broker

import "time"

const (
	repairShare = 4       // one byte in so many of what leaves may be for repair,
	repairRate  = 4 << 20 // and so many in a second, whatever else leaves,
	repairBurst = 1 << 20 // and so many at once after a time without
)

// A budget bounds what repairs cost, so that those who missed much do not
// take the broker from those who say something new: what exceeds it has to wait.
// The zero value is full.
type budget struct {
	spent int // bytes, beyond what there is if it is positive
	at    time.Time
}

// ready reports whether an answer may leave. The last one may exceed what there
// is, and the next waits for that.
func (g *budget) ready(now time.Time) bool {
	if d := now.Sub(g.at); g.spent > -repairBurst {
		g.spent = max(-repairBurst, g.spent-int(min(d.Seconds(), 1)*repairRate))
	}
	g.at = now
	return g.spent < 0
}

// when returns when ready will be true, if nothing is earned.
func (g *budget) when(now time.Time) time.Time {
	if g.ready(now) {
		return now
	}
	return now.Add(time.Millisecond + time.Duration(g.spent)*time.Second/repairRate)
}

// earn follows an envelope that was not for repair.
func (g *budget) earn(size int) { g.spent = max(-repairBurst, g.spent-size/(repairShare-1)) }

// spend follows one that was.
func (g *budget) spend(size int) { g.spent += size }
