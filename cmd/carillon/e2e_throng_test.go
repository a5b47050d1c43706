package main_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A throng are travellers in groups, each in a room of its own, where the first
// one talks: to all, and every third time to one.
type throng struct {
	groups [][]*traveller
	all    []*traveller
	wg     sync.WaitGroup
}

// newThrong returns travellers who have arrived, at the balancer, and are in
// their rooms. They stay until the test ends.
func newThrong(t *testing.T, s *spread, size, group int) *throng {
	t.Helper()
	c := new(throng)
	ctx, leave := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(func() {
		leave()
		c.wg.Wait()
	})
	through := throughMany()
	for i := range size {
		if i%group == 0 {
			c.groups = append(c.groups, nil)
		}
		g := len(c.groups) - 1
		v := newTraveller(s.url(), fmt.Sprintf("traveller-%d", i), fmt.Sprintf("room-%d", g))
		c.groups[g] = append(c.groups[g], v)
		c.all = append(c.all, v)
		c.wg.Go(func() { v.travel(ctx, through) }) // ends with the test
		sleep(t, 2*time.Millisecond)
	}
	for _, v := range c.all {
		select {
		case <-v.ready:
		case <-time.After(60 * time.Second):
			t.Fatalf("%s did not arrive: %v", v.user, v.refused)
		}
	}
	return c
}

// talk has each group hear so many messages a second until stop is called,
// which returns once all of them have been heard.
func (c *throng) talk(t *testing.T, rate float64) (stop func()) {
	ctx, end := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, members := range c.groups {
		wg.Go(func() { // ends with stop
			tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
			defer tick.Stop()
			for n := 0; ctx.Err() == nil; n++ {
				to := ""
				if n%3 == 2 {
					to = members[n%len(members)].user
				}
				members[0].say(to)
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return func() {
		t.Helper()
		end()
		wg.Wait()
		c.rest(t)
	}
}

// rest has each talker say something more and waits until all have heard it.
func (c *throng) rest(t *testing.T) {
	t.Helper()
	var wg sync.WaitGroup
	for _, members := range c.groups {
		wg.Go(func() { // ends within a minute
			talker := members[0]
			last := 0
			for deadline := time.Now().Add(time.Minute); !talker.wasAcked(last) && time.Now().Before(deadline); {
				if n := talker.say(""); n > 0 {
					last = n
				}
				for range 20 {
					if talker.wasAcked(last) {
						break
					}
					sleep(t, 50*time.Millisecond)
				}
			}
			for _, v := range members {
				for deadline := time.Now().Add(20 * time.Second); v.lastOf(talker) < last; sleep(t, 20*time.Millisecond) {
					if time.Now().After(deadline) {
						t.Errorf("%s, at %q, does not hear %d of %s, at %q: only up to %d", v.user, v.where(), last, talker.user, talker.where(), v.lastOf(talker))
						break
					}
				}
			}
		})
	}
	wg.Wait()
}

func (v *traveller) lastOf(talker *traveller) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	if l := v.heard["room:message of "+talker.user]; l != nil {
		return l.last
	}
	return 0
}

// times returns how often it heard a message.
func (v *traveller) times(talker *traveller, n int, u utterance) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	event := "message of "
	if u.to == "" {
		event = "room:message of "
	}
	if l := v.heard[event+talker.user]; l != nil && n < len(l.times) {
		return int(l.times[n])
	}
	return 0
}

// An audit is what became of what was said, and of those who were under way.
type audit struct {
	said, acked int
	wanted      int            // deliveries of what was acknowledged
	missing     map[string]int // of these that did not come to travellers who were always recovered, by the instance that was told
	gap         int            // and to the others
	doubled     int
	disorder    []string

	journeys, recovered int
	anew                int // travellers who were not always recovered
	refused             []string
	gaps                []time.Duration // from the loss of a connection to the next, in order
}

// audit looks at all that was said.
func (c *throng) audit() (a audit) {
	a.missing = make(map[string]int)
	by := make(map[string][]utterance)
	for _, members := range c.groups {
		talker := members[0]
		talker.mu.Lock()
		said := slices.Clone(talker.said)
		talker.mu.Unlock()
		by[talker.user] = said
		for i, u := range said {
			a.said++
			if u.acked {
				a.acked++
			}
			for _, v := range members {
				if u.to != "" && u.to != v.user {
					continue
				}
				n := v.times(talker, i+1, u)
				if n > 1 {
					a.doubled += n - 1
				}
				if !u.acked {
					continue
				}
				a.wanted++
				switch {
				case n > 0:
				case v.anew > 0:
					a.gap++
				default:
					a.missing[u.at]++
				}
			}
		}
	}
	for _, v := range c.all {
		v.mu.Lock()
		for from, l := range v.heard {
			said := by[from[strings.LastIndex(from, " ")+1:]]
			for _, d := range l.disorder {
				if said[d[0]-1].acked && said[d[1]-1].acked { // what is not may still be under way when more is said
					a.disorder = append(a.disorder, fmt.Sprintf("%s heard %s: %d after %d", v.user, from, d[0], d[1]))
				}
			}
		}
		for _, j := range v.journeys {
			a.journeys++
			if j.recovered {
				a.recovered++
			}
			a.gaps = append(a.gaps, j.back.Sub(j.lost))
		}
		if v.anew > 0 {
			a.anew++
		}
		for _, r := range v.refused {
			a.refused = append(a.refused, v.user+": "+r)
		}
		v.mu.Unlock()
	}
	slices.Sort(a.gaps)
	return a
}

func (a audit) String() string {
	missing := 0
	for n := range maps.Values(a.missing) {
		missing += n
	}
	return fmt.Sprintf("%d of %d messages acknowledged, which are %d deliveries: %d missing, %d twice, %d out of order, %d not told to those who began anew; "+
		"%d connections lost, %d recovered, %d refused; back after %v/%v/%v (min/p50/max)",
		a.acked, a.said, a.wanted, missing, a.doubled, len(a.disorder), a.gap,
		a.journeys, a.recovered, len(a.refused), at(a.gaps, 0), at(a.gaps, 50), at(a.gaps, 100))
}

// at is a percentile of what is in order.
func at(all []time.Duration, percent int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return all[min(len(all)-1, len(all)*percent/100)].Round(time.Millisecond)
}
