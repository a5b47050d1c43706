package bench

import (
	"time"
)

// measure runs the load, warms up, and measures.
func (r *run) measure() error {
	l := &r.load
	l.clock, l.took, l.timeout = r.clock, r.took, r.o.Timeout
	l.open = r.o.Rate > 0
	l.slots = make([]slot, r.o.InFlight)
	if l.open {
		l.slots = make([]slot, openSlots)
	}
	l.from = r.clock() + int64(r.o.Warmup)
	l.to = l.from + int64(r.o.Duration)
	r.wg.Go(func() { l.run(r.ctx, r.o.InFlight, r.o.Rate) }) // ends with the measurement, or ctx

	r.say("warming up")
	if err := r.sleep(r.o.Warmup); err != nil {
		return err
	}
	r.say("measuring for %v", r.o.Duration)
	before := l.read()
	r.measured.before = r.meter.read()
	if err := r.sleep(r.o.Duration); err != nil {
		return err
	}
	r.measured.after = r.meter.read()
	r.measured.count = l.read().minus(before)
	r.say("waiting for what is under way")
	return r.drain()
}

// drain waits until all that was sent has arrived or is lost.
func (r *run) drain() error {
	for deadline := time.Now().Add(r.o.Timeout); r.load.underWay() && time.Now().Before(deadline); {
		if err := r.sleep(10 * time.Millisecond); err != nil {
			return err
		}
	}
	r.measured.count.lost = r.load.lost.Load()
	for i := range r.load.slots {
		if r.load.slots[i].left.Load() > 0 {
			r.measured.count.lost++
		}
	}
	return nil
}

func (r *run) sleep(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}
