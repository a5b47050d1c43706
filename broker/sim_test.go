package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// TestSimulation runs clusters of three to six nodes through whatever befalls
// a broker and its clients, and checks all that the package promises; see
// check. CARILLON_TEST_SEEDS is how many clusters to run, or "from-to". A seed
// decides on the faults, the load and their times, though not on the order in
// which goroutines run, so a failure that is a race may take a few runs. This
// runs seed 17 until it fails, at most a hundred times:
//
//	CARILLON_TEST_SEEDS=17-17 go test -run TestSimulation -count 100 -failfast ./broker
//
// Every fourth seed has no outages, every fourth one only short ones of the
// broker: there the messages must all arrive, without a Gap.
func TestSimulation(t *testing.T) {
	from, to := 0, simSeeds
	if testing.Short() {
		to = 20
	}
	if s := os.Getenv("CARILLON_TEST_SEEDS"); s != "" {
		a, b, isRange := strings.Cut(s, "-")
		if !isRange {
			a, b = "0", a
		}
		var err, err2 error
		from, err = strconv.Atoi(a)
		to, err2 = strconv.Atoi(b)
		if err != nil || err2 != nil {
			t.Fatalf("CARILLON_TEST_SEEDS: got %q", s)
		}
		if isRange {
			to++
		}
	}
	// A cluster keeps one core busy.
	var next, failed atomic.Int64
	next.Store(int64(from))
	sums := make([]tally, min(runtime.GOMAXPROCS(0), to-from))
	t.Run("Clusters", func(t *testing.T) {
		for i := range sums {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				var seed int64
				defer func() { // synctest.Test ends the test if the bubble's failed
					if t.Failed() {
						failed.Add(1)
						t.Logf("seed %d: see it again with\n"+
							"CARILLON_TEST_SEEDS=%[1]d-%[1]d go test -run TestSimulation -count 100 -failfast ./broker", seed)
					}
				}()
				for failed.Load() == 0 {
					if seed = next.Add(1) - 1; seed >= int64(to) {
						return
					}
					synctest.Test(t, func(t *testing.T) { simulate(t, uint64(seed), &sums[i]) })
				}
			})
		}
	})
	var sum tally
	for _, s := range sums {
		sum.add(s)
	}
	t.Logf("%d clusters: %+v", to-from, sum)
}

// A tally is what a simulation was about.
type tally struct{ Said, Large, Heard, Repaired, Excused, Gaps, Downs, Crashes int }

func (a *tally) add(b tally) {
	a.Said += b.Said
	a.Large += b.Large
	a.Heard += b.Heard
	a.Repaired += b.Repaired
	a.Excused += b.Excused
	a.Gaps += b.Gaps
	a.Downs += b.Downs
	a.Crashes += b.Crashes
}

// A weather is what a seed makes of the world.
type weather struct {
	loss, twice, unknown, late float64
	restarts, outages          bool // of the broker, and of all kinds
	buffer                     int
}

func forecast(seed uint64, rnd *rand.Rand) weather {
	pick := func(ps ...float64) float64 { return ps[rnd.IntN(len(ps))] }
	w := weather{loss: pick(0, 0.01, 0.05), twice: pick(0, 0.02, 0.1), unknown: pick(0, 0.02, 0.1), late: 0.02}
	switch seed % 4 {
	case 0:
		w.buffer = 8 << 20
	case 1:
		w.restarts, w.buffer = true, 8<<20
	default:
		w.restarts, w.outages = true, true
		w.buffer = []int{20 << 10, 200 << 10, 2 << 20}[rnd.IntN(3)]
	}
	return w
}

// A sim is one cluster in one weather.
type sim struct {
	t     *testing.T
	rnd   *rand.Rand
	hub   *memory.Hub
	seed  uint64
	w     weather
	nodes []*simNode // all that ever were
	sum   *tally
}

type simNode struct {
	*broker.Bus
	f       *faults
	crashed bool
	said    []said

	mu       sync.Mutex // guards what follows
	heard    []heard
	knows    map[broker.NodeID]bool // who was up, ever
	repaired int
}

// said is an accepted message: its number, those that it used on the wire, to
// whom, and to whom it must come.
type said struct {
	k      int
	lo, hi uint64
	to     broker.NodeID
	owed   map[broker.NodeID]bool
}

// heard is a message (kind 0) or an event.
type heard struct {
	from    broker.NodeID
	kind    broker.EventKind
	k       int
	lo, hi  uint64
	mangled bool
}

func (s *sim) start() *simNode {
	i := len(s.nodes)
	n := &simNode{f: &faults{rand: rand.New(rand.NewPCG(s.seed, uint64(i)+20))}, knows: make(map[broker.NodeID]bool)}
	own := rand.New(rand.NewPCG(s.seed, uint64(i)+1000))
	n.f.twice, n.f.unknown = s.w.twice, s.w.unknown
	n.f.lose = func(string, []byte) bool { return own.Float64() < s.w.loss }
	n.f.delay = func(string) time.Duration {
		if n.f.rand.Float64() < s.w.late {
			return time.Duration(n.f.rand.IntN(150)) * time.Millisecond
		}
		return time.Duration(n.f.rand.IntN(5000)) * time.Microsecond
	}
	var err error
	n.Bus, err = broker.Open(s.t.Context(), func(context.Context) (broker.Driver, error) {
		return faulty{s.hub.Driver(), n.f}, nil
	}, broker.Options{Node: fmt.Sprint("n", i), Buffer: s.w.buffer, Logger: silent, Hooks: broker.Hooks{
		Repaired: func(_ broker.Member, m int) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.repaired += m
		},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	n.Handle("c", func(m broker.Message) {
		text, rest, _ := bytes.Cut(m.Body, []byte(":"))
		k, err := strconv.Atoi(string(text))
		n.mu.Lock()
		defer n.mu.Unlock()
		n.heard = append(n.heard, heard{from: m.From.ID, k: k, mangled: err != nil || len(rest) != padding(k)})
	})
	n.Watch(func(ev broker.Event) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if ev.Kind == broker.NodeUp {
			n.knows[ev.Node.ID] = true
		}
		n.heard = append(n.heard, heard{from: ev.Node.ID, kind: ev.Kind, lo: ev.From, hi: ev.To})
	})
	s.nodes = append(s.nodes, n)
	return n
}

// padding is how many bytes follow the number of a message: most are short,
// some go in parts.
func padding(k int) int {
	switch {
	case k%97 == 5:
		return 70<<10 + k%7*40<<10
	case k%11 == 3:
		return 3000
	}
	return k % 50
}

func (s *sim) alive() (ns []*simNode) {
	for _, n := range s.nodes {
		if !n.crashed {
			ns = append(ns, n)
		}
	}
	return ns
}

// say has a node say number k to another, or to all.
func (s *sim) say(n, to *simNode, k int) {
	m := said{k: k, lo: n.Seq() + 1, owed: make(map[broker.NodeID]bool)}
	n.mu.Lock()
	for id := range n.knows {
		if to == nil || to.Self().ID == id {
			m.owed[id] = true
		}
	}
	n.mu.Unlock()
	body := append(fmt.Appendf(nil, "%d:", k), make([]byte, padding(k))...)
	var err error
	if to == nil {
		err = n.Broadcast("c", body)
	} else {
		m.to = to.Self().ID
		err = n.Send(m.to, "c", body)
	}
	if m.hi = n.Seq(); err != nil || m.hi < m.lo {
		return // refused, or there was nobody to hear it
	}
	n.said = append(n.said, m)
	s.sum.Said++
	if m.hi > m.lo {
		s.sum.Large++
	}
}

func (s *sim) calm() {
	for _, n := range s.alive() {
		n.f.set(func(f *faults) {
			f.away, f.mute, f.deaf = false, false, false
			if f.pause != nil {
				close(f.pause)
				f.pause = nil
			}
		})
	}
}

// trouble befalls the cluster, and how long it lasts at most.
func (s *sim) trouble() time.Duration {
	ns := s.alive()
	n := ns[s.rnd.IntN(len(ns))]
	kind := s.rnd.IntN(7)
	if !s.w.outages {
		kind = 0
	}
	switch kind {
	case 0: // the broker starts again, and forgets all that was under way
		for _, n := range ns {
			n.f.set(func(f *faults) { f.away = true; f.epoch++ })
		}
		return 3 * time.Second
	case 1: // a cut that is noticed
		n.f.set(func(f *faults) { f.away = true })
	case 2: // cuts that are not
		n.f.set(func(f *faults) { f.mute, f.deaf = true, true })
	case 3:
		n.f.set(func(f *faults) { f.deaf = true })
	case 4:
		n.f.set(func(f *faults) { f.mute = true })
	case 5: // everything between node and broker stands still
		n.f.set(func(f *faults) { f.pause = make(chan struct{}) })
	case 6: // a crash, and another process instead
		n.f.set(func(f *faults) { f.mute, f.deaf = true, true })
		n.crashed = true
		n.Close()
		s.sum.Crashes++
		s.start()
	}
	if s.rnd.IntN(10) == 0 {
		return 40 * time.Second
	}
	return 12 * time.Second
}

func simulate(t *testing.T, seed uint64, sum *tally) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	s := &sim{t: t, rnd: rnd, hub: memory.NewHub(), seed: seed, w: forecast(seed, rnd), sum: sum}
	for range 3 + rnd.IntN(4) {
		s.start()
	}
	defer func() {
		s.calm()
		for _, n := range s.nodes {
			n.Close()
		}
	}()
	time.Sleep(5 * time.Second)

	pace := []time.Duration{10, 40, 150}[rnd.IntN(3)] * time.Millisecond
	next, end := time.Now(), time.Time{} // of trouble
	for k := range 800 {
		switch now := time.Now(); {
		case !s.w.restarts:
		case !end.IsZero() && now.After(end):
			s.calm()
			end, next = time.Time{}, now.Add(rand.N(4*time.Second))
		case end.IsZero() && now.After(next):
			end = now.Add(time.Duration(rnd.Int64N(int64(s.trouble()))))
		}
		ns := s.alive()
		n := ns[rnd.IntN(len(ns))]
		to := ns[rnd.IntN(len(ns))]
		if rnd.IntN(3) > 0 || to == n {
			to = nil
		}
		s.say(n, to, k)
		if k%20 == 0 {
			bytes, counted, _ := n.Kept()
			if bytes != counted || bytes > s.w.buffer {
				t.Fatalf("%d bytes are kept, %d by count, of %d", bytes, counted, s.w.buffer)
			}
		}
		time.Sleep(rand.N(pace))
	}
	s.calm()
	for _, n := range s.alive() {
		n.f.set(func(f *faults) { f.lose, f.unknown, f.twice = nil, 0, 0 })
	}
	time.Sleep(40 * time.Second)
	for i, n := range s.alive() {
		s.say(n, nil, 800+i)
	}
	time.Sleep(10 * time.Second)
	synctest.Wait()
	s.check()
}
