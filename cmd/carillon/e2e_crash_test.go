package main_test

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestCrash has one of three instances fail while a throng talks, and compares
// what is recovered with what is said to be. CARILLON_TEST_THRONG is its size;
// 100 if it is unset, and then the instance is only killed.
func TestCrash(t *testing.T) {
	t.Parallel() // it waits, mostly
	size := scale(t, "CARILLON_TEST_THRONG", 100)
	for _, failure := range []string{"killed", "frozen for 10s", "without the broker for 3s"} {
		if os.Getenv("CARILLON_TEST_THRONG") == "" && failure != "killed" {
			continue
		}
		t.Run(failure, func(t *testing.T) {
			r := newCrash(t, size)
			stop := r.talk(t, 5)
			sleep(t, 2*time.Second)
			r.remember(t)
			switch failure {
			case "killed":
				r.instances[1].kill(t)
				r.awaitElsewhere(t)
			case "frozen for 10s":
				r.instances[1].freeze(t)
				r.cutThose(t)
				r.awaitElsewhere(t)
				sleep(t, 10*time.Second)
				r.instances[1].thaw(t)
			case "without the broker for 3s":
				r.link.freeze(t)
				r.link.set(true)
				r.cutThose(t)
				sleep(t, 3*time.Second)
				r.link.set(false)
				r.link.reset(t)
			}
			sleep(t, 2*time.Second)
			stop()
			r.check(t, failure)
		})
	}
}

// A crash is a throng at three instances, the second of which is about to fail.
type crash struct {
	*throng
	instances []*instance
	link      *wire // between that instance and the broker

	before []figures
	there  []*traveller // who were at that instance
}

func newCrash(t *testing.T, size int) *crash {
	t.Helper()
	back := newReceiver(t)
	environ := travelConfig(t, back)
	r := &crash{link: newWire(t, strings.TrimPrefix(testRedis(t), "redis://"))}
	cluster := newCluster()
	for i := range 3 {
		more := environ
		if i == 1 {
			more = append(more[:len(more):len(more)], "REDIS_URL=redis://"+r.link.listener.Addr().String())
		}
		r.instances = append(r.instances, startMember(t, cluster, i, "redis", more...))
	}
	s := newSpread(t, inTurns, r.instances...)
	r.throng = newThrong(t, s, size, min(size, 50))
	return r
}

// remember takes note of who is where, and of what was counted before.
func (r *crash) remember(t *testing.T) {
	t.Helper()
	for _, one := range r.instances {
		r.before = append(r.before, scrape(t, one.url()))
	}
	for _, v := range r.all {
		if v.where() == r.instances[1].name {
			r.there = append(r.there, v)
		}
	}
}

func (r *crash) cutThose(*testing.T) {
	for _, v := range r.there {
		v.cut()
	}
}

// awaitElsewhere waits until all are at the other instances.
func (r *crash) awaitElsewhere(t *testing.T) {
	t.Helper()
	eventually(t, "not all are back", func() bool {
		for _, v := range r.all {
			if at := v.where(); at == "" || at == r.instances[1].name {
				return false
			}
		}
		return true
	})
}

// check compares what the travellers know with what the instances count.
func (r *crash) check(t *testing.T, failure string) {
	t.Helper()
	a := r.audit()
	recovered, failed := 0.0, map[string]float64{}
	for i, one := range r.instances {
		if one.running == nil {
			continue
		}
		for name, value := range scrape(t, one.url()) {
			value -= r.before[i][name]
			if name == "carillon_recovery_recovered_total" {
				recovered += value
			}
			if strings.HasPrefix(name, "carillon_recovery_failed_total") && value > 0 {
				failed[name[len("carillon_recovery_failed_total"):]] += value
			}
		}
	}
	t.Logf("RESULT 1 of 3 instances is %s, with %d of %d clients: %s; the instances count %v recovered and not %v; missing by the instance that was told: %v",
		failure, len(r.there), len(r.all), a, recovered, failed, a.missing)
	anew := 0.0
	for _, n := range failed {
		anew += n
	}
	if a.journeys < len(r.there) || float64(a.recovered) != recovered || float64(a.journeys-a.recovered) != anew {
		t.Errorf("of %d who were there %d came back, %d were recovered", len(r.there), a.journeys, a.recovered)
	}
	if a.doubled > 0 || len(a.disorder) > 0 {
		t.Errorf("doubled: %d, out of order: %v", a.doubled, a.disorder[:min(5, len(a.disorder))])
	}
	for _, one := range r.instances {
		if n := a.missing[one.name]; n > 0 && one.running != nil {
			t.Errorf("%d deliveries of what %s was told are missing", n, one.name)
		}
	}
}
