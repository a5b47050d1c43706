package presence_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSimulation runs clusters of three to twelve nodes through whatever
// befalls nodes, their clients, a broker and the links to it, and checks what
// the package promises; see check. CARILLON_TEST_SEEDS is how many clusters to
// run, or "from-to": a seed decides on all that happens and when, though not on
// the order in which goroutines run, so a failure that is a race may take a few
// runs. What fails is repeated with ever fewer steps, and the least that still
// fails is printed.
func TestSimulation(t *testing.T) {
	from, to := 0, 150
	if testing.Short() {
		to = 10
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
	var sum tally
	seed := from
	defer func() { // synctest.Test ends the test if the bubble's failed
		if t.Failed() {
			t.Logf("seed %d: run it again with CARILLON_TEST_SEEDS=%[1]d-%[1]d", seed)
		}
	}()
	for ; seed < to; seed++ {
		p := newPlan(uint64(seed))
		if vs := run(t, p, &sum); len(vs) > 0 {
			t.Logf("seed %d, before the plan is shrunk:\n%s", seed, strings.Join(vs, "\n"))
			least, vs := shrink(t, p, vs)
			t.Fatalf("%s\n%s", least, strings.Join(vs, "\n"))
		}
	}
	t.Logf("%d clusters: %+v", to-from, sum)
}

func (a *tally) add(b tally) {
	a.Runs += b.Runs
	a.Sessions += b.Sessions
	a.Changes += b.Changes
	a.Crashes += b.Crashes
	a.Stops += b.Stops
	a.Cuts += b.Cuts
	a.Pauses += b.Pauses
	a.Replays += b.Replays
	a.Repairs += b.Repairs
	a.Snapshots += b.Snapshots
}

// A plan is all that happens in one run.
type plan struct {
	seed              uint64
	nodes             int
	loss, twice, late float64
	length            time.Duration
	steps             []step
}

type stepKind string

const (
	connect    stepKind = "connect"
	lose       stepKind = "lose"
	leave      stepKind = "leave"
	modify     stepKind = "update"
	crash      stepKind = "crash"
	stop       stepKind = "stop"
	cutNoticed stepKind = "cut"
	cutSilent  stepKind = "cut unnoticed"
	cutDeaf    stepKind = "deaf"
	cutMute    stepKind = "mute"
	pause      stepKind = "pause"
	restart    stepKind = "broker restart"
	replay     stepKind = "replay"
	snapshot   stepKind = "snapshot"
)

// A step is one thing that happens.
type step struct {
	at           time.Duration
	kind         stepKind
	slot         int
	user, device string
	status       string
	lasts        time.Duration // of a fault; or until a client, or another node, takes the place
	back         bool          // the clients of the node return
}

func (s step) String() string {
	text := fmt.Sprintf("%8.3f  %s", s.at.Seconds(), s.kind)
	switch s.kind {
	case connect, lose, leave, modify:
		text += fmt.Sprintf(" %s/%s %s", s.user, s.device, s.status)
	}
	return text + fmt.Sprintf(" (slot %d, %v, back %v)", s.slot, s.lasts, s.back)
}

func (p *plan) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d nodes, loss %v, twice %v, late %v:", p.nodes, p.loss, p.twice, p.late)
	for _, s := range p.steps {
		text.WriteString("\n" + s.String())
	}
	return text.String()
}

// quiet is how long it takes until all is told: what a crash leaves, at the
// loss there is, and repair.
func (p *plan) quiet() time.Duration { return p.bound() + 8*time.Second }

// bound is how long a user whose node has crashed may stay online.
func (p *plan) bound() time.Duration {
	if p.loss > 0.05 {
		return 25 * time.Second
	}
	return 10 * time.Second
}

// join is how long a new session may be unknown somewhere: what is lost is
// repaired, if that is not lost too, with a wait that doubles every time.
func (p *plan) join() time.Duration {
	switch {
	case p.loss == 0:
		return 1500 * time.Millisecond
	case p.loss <= 0.05:
		return 4500 * time.Millisecond
	case p.loss <= 0.1:
		return 9 * time.Second
	}
	return 15 * time.Second
}

func newPlan(seed uint64) *plan {
	rnd := rand.New(rand.NewPCG(seed, 1))
	pick := func(ps ...float64) float64 { return ps[rnd.IntN(len(ps))] }
	p := &plan{
		seed: seed, nodes: 3 + rnd.IntN(3), length: 70 * time.Second,
		loss: pick(0, 0, 0.01, 0.05, 0.1, 0.2), twice: pick(0, 0.05), late: pick(0, 0.02),
	}
	if seed%10 == 9 {
		p.nodes, p.loss = 12, pick(0, 0.02)
	}
	any := func(kinds ...stepKind) stepKind { return kinds[rnd.IntN(len(kinds))] }
	for at := 2 * time.Second; at < p.length-5*time.Second; at += time.Duration(rnd.IntN(300)) * time.Millisecond {
		s := step{at: at, slot: rnd.IntN(p.nodes), user: fmt.Sprint("u", rnd.IntN(30)), device: fmt.Sprint("d", rnd.IntN(2))}
		switch r := rnd.IntN(10); {
		case r < 4:
			s.kind = connect
		case r < 7:
			s.kind = lose
			if rnd.IntN(3) > 0 {
				s.lasts = time.Duration(rnd.IntN(9000)) * time.Millisecond
			}
		case r < 9:
			s.kind = leave
		default:
			s.kind, s.status = modify, []string{"", "away", "busy"}[rnd.IntN(3)]
		}
		p.steps = append(p.steps, s)
	}
	switch seed % 4 {
	case 0: // nothing but churn, and the loss there is
	case 1: // nodes come and go
		for at := 8 * time.Second; at < p.length-15*time.Second; at += time.Duration(4000+rnd.IntN(8000)) * time.Millisecond {
			p.steps = append(p.steps, step{
				at: at, kind: any(crash, stop), slot: rnd.IntN(p.nodes),
				lasts: time.Duration(500+rnd.IntN(8000)) * time.Millisecond, back: rnd.IntN(4) > 0,
			})
		}
	default:
		for at := 8 * time.Second; at < p.length-15*time.Second; at += time.Duration(3000+rnd.IntN(12000)) * time.Millisecond {
			s := step{
				at: at, slot: rnd.IntN(p.nodes), back: rnd.IntN(4) > 0,
				kind:  any(crash, stop, cutNoticed, cutSilent, cutDeaf, cutMute, pause, pause, restart),
				lasts: time.Duration(1000+rnd.IntN(20000)) * time.Millisecond,
			}
			if s.kind == restart {
				s.lasts = time.Duration(rnd.IntN(5000)) * time.Millisecond
			}
			p.steps = append(p.steps, s)
		}
	}
	for at := 6 * time.Second; at < p.length; at += time.Duration(3000+rnd.IntN(9000)) * time.Millisecond {
		p.steps = append(p.steps, step{at: at, kind: any(replay, snapshot), slot: rnd.IntN(p.nodes)})
	}
	slices.SortStableFunc(p.steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	return p
}

// shrink drops steps as long as what remains still fails.
func shrink(t *testing.T, p *plan, vs []string) (*plan, []string) {
	var sum tally
	runs := 0
	for n := len(p.steps) / 2; n >= 1; n /= 2 {
		for i := 0; i < len(p.steps) && runs < 150; {
			less := *p
			less.steps = slices.Delete(slices.Clone(p.steps), i, min(i+n, len(p.steps)))
			runs++
			if got := run(t, &less, &sum); len(got) > 0 {
				p, vs = &less, got
			} else {
				i += n
			}
		}
	}
	return p, vs
}
