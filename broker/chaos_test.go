package broker_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// TestNothingInSilence runs clusters through losses, cuts and outages, and
// checks at every node, for every other: what comes is in order and never
// twice, and what does not come stands under a Gap or between down and up.
func TestNothingInSilence(t *testing.T) {
	seeds := 30
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) { chaos(t, uint64(seed)) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func chaos(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	hub := memory.NewHub()
	const size = 3
	var nodes []*node
	for i := range size {
		f := &faults{away: true, twice: 0.05 * float64(seed%3), unknown: 0.05 * float64(seed%2)}
		n := startWith(t, hub, fmt.Sprint("n", i), broker.Options{}, f)
		loss := []float64{0, 0.01, 0.1}[seed/3%3]
		own := rand.New(rand.NewPCG(seed, uint64(i)+10))
		f.set(func(f *faults) {
			f.away = false
			f.rand = rand.New(rand.NewPCG(seed, uint64(i)+20))
			f.lose = func(string, []byte) bool { return own.Float64() < loss }
			f.delay = func(topic string) time.Duration {
				if f.rand.Float64() < 0.02 {
					return time.Duration(f.rand.IntN(150)) * time.Millisecond
				}
				return 0
			}
		})
		nodes = append(nodes, n)
	}
	time.Sleep(5 * time.Second)

	sent := make([]map[string][]int, size) // by sender: to whom, what
	for i := range sent {
		sent[i] = make(map[string][]int)
	}
	calm := func() {
		for _, n := range nodes {
			n.faults.set(func(f *faults) { f.away, f.mute, f.deaf = false, false, false })
		}
	}
	for k := range 3000 {
		if k%250 == 100 { // some trouble, for up to 10 s
			calm()
			n := nodes[rnd.IntN(size)]
			switch rnd.IntN(5) {
			case 0:
				for _, n := range nodes {
					n.faults.set(func(f *faults) { f.away = true })
				}
			case 1:
				n.faults.set(func(f *faults) { f.away = true })
			case 2:
				n.faults.set(func(f *faults) { f.mute, f.deaf = true, true })
			case 3:
				n.faults.set(func(f *faults) { f.deaf = true })
			case 4:
				n.faults.set(func(f *faults) { f.mute = true })
			}
		}
		if k%250 == 100+rnd.IntN(150) {
			calm()
		}
		i := rnd.IntN(size)
		n, to := nodes[i], nodes[(i+1+rnd.IntN(size-1))%size]
		body := fmt.Append(nil, k)
		if rnd.IntN(3) == 0 {
			if n.Send(to.Self().ID, "a", body) == nil {
				sent[i][to.Self().Name] = append(sent[i][to.Self().Name], k)
			}
		} else if n.Broadcast("b", body) == nil {
			for _, o := range nodes {
				sent[i][o.Self().Name] = append(sent[i][o.Self().Name], k)
			}
		}
		time.Sleep(time.Duration(rnd.IntN(80)) * time.Millisecond)
	}
	calm()
	for _, n := range nodes {
		n.faults.set(func(f *faults) { f.lose, f.unknown, f.twice = nil, 0, 0 })
	}
	time.Sleep(30 * time.Second)
	for i, n := range nodes { // the last words, which must all arrive
		if len(n.Members()) != size-1 {
			t.Errorf("n%d knows only %v", i, n.Members())
		}
		ok(t, n.Broadcast("b", fmt.Append(nil, 3000)))
		for _, o := range nodes {
			sent[i][o.Self().Name] = append(sent[i][o.Self().Name], 3000)
		}
	}
	time.Sleep(10 * time.Second)

	for j, n := range nodes {
		heard := n.take()
		for i := range nodes {
			if i != j {
				check(t, fmt.Sprint("n", i), sent[i][n.Self().Name], heard)
			}
		}
	}
}

// check goes through what one node heard of another.
func check(t *testing.T, from string, sent []int, heard []string) {
	next := 0        // in sent
	excused := false // something may be missing here
	for _, s := range heard {
		switch {
		case strings.HasPrefix(s, from+" gap"), s == from+" down", s == from+" up":
			excused = true
		case strings.HasPrefix(s, from+": "):
			var k int
			fmt.Sscan(s[len(from)+2:], &k)
			at := next
			for at < len(sent) && sent[at] != k {
				at++
			}
			if at == len(sent) {
				t.Errorf("%s: %d came twice, or out of order", from, k)
				return
			}
			if at > next && !excused {
				t.Errorf("%s: %v are missing before %d, in silence", from, sent[next:at], k)
				return
			}
			next, excused = at+1, false
		}
	}
	if next < len(sent) {
		t.Errorf("%s: the last %d never came", from, len(sent)-next)
	}
}
