package main_test

import (
	"strconv"
	"sync"
	"testing"
	"time"
)

// travelConfig is that of instances which throngs come to.
func travelConfig(t *testing.T, back *receiver) []string {
	t.Helper()
	return append(joinedBy(t, "redis"), "CARILLON_PRESENCE__MODE=watch",
		"CARILLON_SERVER__DRAIN__DELAY=1s", "CARILLON_SERVER__DRAIN__PERIOD=5s", "CARILLON_SERVER__DRAIN__LINGER=5s",
		"CARILLON_WEBHOOKS__URL="+back.URL, "CARILLON_WEBHOOKS__SECRET="+webhookSecret)
}

// offline returns the users of whom it was told that they went offline.
func (r *receiver) offline() (users []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.all {
		if e.Type == "user.offline" {
			users = append(users, e.User)
		}
	}
	return users
}

// TestRollingRestart restarts three instances, one after the other, while a
// throng talks, and among it some with the official library.
// CARILLON_TEST_THRONG is how many they are; 100 if it is unset.
func TestRollingRestart(t *testing.T) {
	t.Parallel() // it waits, mostly
	rollOver(t, scale(t, "CARILLON_TEST_THRONG", 100))
}

// TestRollingRestartInHaste has instances not wait for anybody to come back: what
// is kept for a client is on another instance by then, and it is recovered from
// there.
func TestRollingRestartInHaste(t *testing.T) {
	t.Parallel()
	instances := rollOver(t, scale(t, "CARILLON_TEST_THRONG", 50), "CARILLON_SERVER__DRAIN__PERIOD=200ms", "CARILLON_SERVER__DRAIN__LINGER=0s")
	moved, adopted := 0, 0
	for _, i := range instances {
		i.handed.mu.Lock()
		moved, adopted = moved+i.handed.moved, adopted+i.handed.adopted
		if i.handed.lost > 0 {
			t.Errorf("%s lost %d", i.name, i.handed.lost)
		}
		i.handed.mu.Unlock()
	}
	t.Logf("RESULT rolling restart in haste: %d moved in time, %d adopted", moved, adopted)
	if adopted < moved {
		t.Errorf("%d adopted, %d moved", adopted, moved)
	}
}

// rollOver restarts three instances, which environ changes, and looks that nobody
// minds.
func rollOver(t *testing.T, size int, environ ...string) []*instance {
	t.Helper()
	back := newReceiver(t)
	instances := startSeveral(t, 3, "redis", append(travelConfig(t, back), environ...)...)
	s := newSpread(t, inTurns, instances...)
	c := newThrong(t, s, size, min(size, 50))
	began := time.Now()
	s.cuts.forget()
	stop := c.talk(t, 5)

	var stops stopTimes
	failed := map[string]float64{} // by the reason, as told by instances before they stop
	restart := func(t *testing.T) {
		for i, one := range instances {
			sleep(t, time.Second)
			for reason, n := range notRecovered(t, instances[i:i+1]) {
				failed[reason] += n
			}
			stops.add(one.name)
			one.stop(t)
			one.start(t)
			eventually(t, one.name+" is not ready again", func() bool { return s.ready(i) })
		}
	}
	runScript(t, asks{"restart": restart}, "rolling.mjs", "restart", "upgrade", s.url(), strconv.Itoa(min(20, max(5, size/100))))
	stop()

	a := c.audit()
	for reason, n := range notRecovered(t, instances) {
		failed[reason] += n
	}
	slowest := stops.slowest(c)
	t.Logf("RESULT rolling restart of 3 instances, %d clients, %v: %s; the last was back %v after its instance was asked to stop; "+
		"at most %d connections were accepted in a second; %d users went offline; not recovered: %v",
		size, time.Since(began).Round(time.Second), a, slowest.Round(time.Millisecond), s.cuts.peak(), len(back.offline()), failed)
	if a.journeys < size {
		t.Errorf("only %d of %d had to move", a.journeys, size)
	}
	if a.recovered != a.journeys || a.anew > 0 {
		t.Errorf("%d of %d were recovered", a.recovered, a.journeys)
	}
	if len(a.missing) > 0 || a.gap > 0 || a.doubled > 0 {
		t.Errorf("missing: %v and %d; doubled: %d", a.missing, a.gap, a.doubled)
	}
	if len(a.disorder) > 0 {
		t.Errorf("out of order: %v", a.disorder[:min(5, len(a.disorder))])
	}
	if len(a.refused) > 0 {
		t.Errorf("refused: %v", a.refused[:min(5, len(a.refused))])
	}
	if slowest > 30*time.Second {
		t.Errorf("one was back only %v after its instance was asked to stop", slowest)
	}
	if off := back.offline(); len(off) > 0 {
		t.Errorf("went offline: %v", off[:min(5, len(off))])
	}
	return instances
}

// stopTimes are when instances were asked to stop.
type stopTimes struct {
	mu sync.Mutex // guards at
	at map[string]time.Time
}

func (s *stopTimes) add(instance string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil {
		s.at = make(map[string]time.Time)
	}
	s.at[instance] = time.Now()
}

// slowest returns the longest time from a stop until one who was there was back.
func (s *stopTimes) slowest(c *throng) (longest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range c.all {
		v.mu.Lock()
		for _, j := range v.journeys {
			if at, ok := s.at[j.from]; ok && j.lost.After(at) {
				longest = max(longest, j.back.Sub(at))
			}
		}
		v.mu.Unlock()
	}
	return longest
}
