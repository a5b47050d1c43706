package brokertest

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// A Server is a broker of a test's own, to be killed.
type Server struct {
	Name string
	Addr string // host:port of its listener

	Start func(t *testing.T) // returns when it answers
	Kill  func()             // ends it as kill -9 does

	// Open returns a driver for a node of a cluster, which reaches the server
	// at addr and nowhere else: there may be a Proxy.
	Open func(ctx context.Context, addr, cluster string) (broker.Driver, error)

	// Forget has the running server lose all that it holds of a cluster's
	// messages.
	Forget func(t *testing.T, cluster string)
}

const (
	kills    = 5                // of the server
	killTime = 45 * time.Second // for all kills but the first two, unless CARILLON_NIGHTLY is set
	cutTime  = 10 * time.Second
)

// Faults does to the Bus over a driver what befalls brokers, networks and
// processes, while three nodes say 2,000 messages a second. What they hear
// must be all, once and in order, or stand under a Gap that has the right
// count. Each case prints a line that begins with RESULT: sent counts messages,
// owed and delivered their deliveries to the other nodes, gaps what is missing
// and told, lost what is missing in silence, seconds the time from the end of
// the fault until all was there.
// The program needs a TestMain with Main. The server has been started.
func Faults(t *testing.T, s Server) {
	t.Run("Kill", s.testKill)
	t.Run("Apart", func(t *testing.T) {
		t.Run("Late", func(t *testing.T) { t.Parallel(); s.testLate(t) })
		t.Run("Cut", func(t *testing.T) { t.Parallel(); s.testCut(t) })
		t.Run("CutOne", func(t *testing.T) { t.Parallel(); s.testCutOne(t) })
		t.Run("Hang", func(t *testing.T) { t.Parallel(); s.testHang(t) })
		t.Run("Gap", func(t *testing.T) { t.Parallel(); s.testGap(t) })
		t.Run("Stop", func(t *testing.T) { t.Parallel(); s.testStop(t) })
	})
}

// The broker is killed and comes back.
func (s *Server) testKill(t *testing.T) {
	tr := s.trial(t, "kill")
	for range speakers {
		tr.open(t, s.Addr, true, broker.Options{})
	}
	for _, n := range tr.nodes {
		AwaitMembers(t, n.Bus, speakers-1)
	}
	nightly := os.Getenv("CARILLON_NIGHTLY") != ""
	first := time.Now()
	for i := range kills {
		if i >= 2 && !nightly && time.Since(first) > killTime {
			t.Logf("%d kills were enough, CARILLON_NIGHTLY makes it %d", i, kills)
			break
		}
		tr.speak()
		pause(time.Second)
		s.Kill()
		pause(500 * time.Millisecond)
		s.Start(t)
		tr.mended(t)
	}
}

// The broker is not there yet when the nodes begin.
func (s *Server) testLate(t *testing.T) {
	tr := s.trial(t, "late")
	p := NewProxy(t, s.Addr)
	for range speakers {
		n := tr.open(t, p.Addr, false, broker.Options{Retry: broker.Retry{Max: 200 * time.Millisecond}})
		if s := n.State(); s != broker.Connecting {
			t.Errorf("got state %v, want connecting", s)
		}
	}
	p.Start(t)
	tr.begin = time.Now()
	for _, n := range tr.nodes {
		AwaitMembers(t, n.Bus, speakers-1)
	}
	tr.speak()
	pause(100 * time.Millisecond)
	tr.hush()
	tr.settle(t, false)
}

// All are cut off from the broker.
func (s *Server) testCut(t *testing.T) {
	tr := s.trial(t, "cut")
	tr.openAll(t, true, broker.Options{})
	tr.speak()
	pause(time.Second)
	for _, p := range tr.proxies {
		p.Cut()
	}
	pause(cutTime)
	for _, p := range tr.proxies {
		p.Start(t)
	}
	tr.mended(t)
}

// One node is cut off for so long that the others declare it down. It comes
// back as itself.
func (s *Server) testCutOne(t *testing.T) {
	tr := s.trial(t, "cut-one")
	tr.openAll(t, false, broker.Options{})
	tr.speak()
	pause(time.Second)
	tr.proxies[2].Cut()
	pause(cutTime)
	tr.proxies[2].Start(t)
	tr.begin = time.Now()
	tr.state(t, broker.Up)
	for _, n := range tr.nodes {
		AwaitMembers(t, n.Bus, speakers-1)
	}
	tr.hush()
	tr.settle(t, false)
}

// The broker does not answer, though the connections stand.
func (s *Server) testHang(t *testing.T) {
	tr := s.trial(t, "hang")
	tr.openAll(t, true, broker.Options{})
	tr.speak()
	pause(time.Second)
	for _, p := range tr.proxies {
		p.Freeze()
	}
	tr.state(t, broker.Down)
	for _, p := range tr.proxies {
		p.Thaw()
	}
	tr.mended(t)
}

// A node is cut off for longer than the others keep what they said, and the
// broker loses what it held for it.
func (s *Server) testGap(t *testing.T) {
	tr := s.trial(t, "gap")
	tr.openAll(t, false, broker.Options{Buffer: 3 << 19}) // 8 s of what a node says: enough for those that are not cut off
	for _, n := range tr.nodes[:2] {
		n.speak()
	}
	pause(time.Second)
	tr.proxies[2].Cut()
	pause(11 * time.Second)
	s.Forget(t, tr.cluster)
	tr.proxies[2].Start(t)
	tr.begin = time.Now()
	tr.state(t, broker.Up)
	pause(500 * time.Millisecond)
	for _, n := range tr.nodes[:2] {
		n.hush()
	}
	tr.settle(t, true)
	for i, n := range tr.nodes[:2] {
		for from, a := range n.heard() {
			if a.Gapped > 0 {
				t.Errorf("node %d, which was not cut off, misses %d of node %d", i, a.Gapped, from)
			}
		}
	}
	// And then all flows again.
	tr.name, tr.begin = "after-gap", time.Now()
	tr.speak()
	pause(time.Second)
	tr.hush()
	tr.settle(t, false)
}

// A node's process stands still for so long that the others declare it down.
func (s *Server) testStop(t *testing.T) {
	tr := s.trial(t, "stop")
	for range speakers - 1 {
		tr.open(t, s.Addr, false, broker.Options{})
	}
	tr.child = startChild(t, speakers-1, s.Addr, tr.cluster)
	tr.child.do(t, order{Do: "members"})
	for _, n := range tr.nodes {
		AwaitMembers(t, n.Bus, speakers-1)
	}
	traffic := func() int64 { return tr.nodes[0].envelopes.Load() + tr.nodes[1].envelopes.Load() }
	tr.speak()
	tr.child.do(t, order{Do: "speak"})
	const window = 2 * time.Second
	pause(window / 4)
	before := traffic()
	pause(window)
	calm := traffic() - before

	if err := tr.child.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	pause(cutTime)
	for _, n := range tr.nodes {
		if ms := n.Members(); len(ms) != speakers-2 {
			t.Errorf("node %d knows %v, while a node stands still", n.place, ms)
		}
	}
	before = traffic()
	if err := tr.child.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	tr.begin = time.Now()
	pause(window)
	storm := traffic() - before
	t.Logf("%d envelopes in %v before, %d when the node goes on", calm, window, storm)
	if storm > 3*calm {
		t.Errorf("%d envelopes in %v, and %d when the node goes on", calm, window, storm)
	}
	for _, n := range tr.nodes {
		AwaitMembers(t, n.Bus, speakers-1)
	}
	tr.hush()
	tr.settle(t, false)
	for _, n := range tr.nodes {
		n.mu.Lock()
		if len(n.ups) != speakers-1 {
			t.Errorf("node %d saw %d nodes: a ghost", n.place, len(n.ups))
		}
		n.mu.Unlock()
	}
}
