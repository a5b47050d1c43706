package brokertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// A trial is a cluster under load.
type trial struct {
	*Server
	name    string
	cluster string
	nodes   []*speaker
	child   *child // the last node, if it is a process of its own

	proxies []*Proxy // before each of nodes, if there are any
	begin   time.Time
	before  tally
}

// A tally is the sum of all that a trial has said and heard.
type tally struct {
	sent, owed int64
	account
}

func (s *Server) trial(t *testing.T, name string) *trial {
	return &trial{Server: s, name: name, cluster: Prefix()}
}

// open adds the next node, which reaches the server at addr.
func (tr *trial) open(t *testing.T, addr string, mix bool, opts broker.Options) *speaker {
	t.Helper()
	opts.Cluster = tr.cluster
	n, err := openSpeaker(within(t), len(tr.nodes), mix, opts, func(ctx context.Context) (broker.Driver, error) {
		return tr.Open(ctx, addr, tr.cluster)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	tr.nodes = append(tr.nodes, n)
	return n
}

// openAll adds all nodes, each behind a proxy of its own, and returns when they
// know each other.
func (tr *trial) openAll(t *testing.T, mix bool, opts broker.Options) {
	t.Helper()
	for range speakers {
		p := NewProxy(t, tr.Addr)
		p.Start(t)
		tr.proxies = append(tr.proxies, p)
		tr.open(t, p.Addr, mix, opts)
	}
	for _, n := range tr.nodes {
		AwaitMembers(t, n.Bus, speakers-1)
	}
}

func (tr *trial) speak() {
	for _, n := range tr.nodes {
		n.speak()
	}
}

func (tr *trial) hush() {
	for _, n := range tr.nodes {
		n.hush()
	}
}

// state waits until all nodes are in it.
func (tr *trial) state(t *testing.T, want broker.State) {
	t.Helper()
	for _, n := range tr.nodes {
		if err := poll(fmt.Sprintf("node %d is %v", n.place, want), func() bool { return n.State() == want }); err != nil {
			t.Fatal(err)
		}
	}
}

// settle waits until all that was said was heard, and prints and checks the
// account since the last call. A trial with gaps must have some.
func (tr *trial) settle(t *testing.T, gaps bool) {
	t.Helper()
	var until [speakers]int64
	var refused int64
	for i, n := range tr.nodes {
		until[i] = n.said.Load()
		refused += n.refused.Load()
	}
	if tr.child != nil {
		r := tr.child.do(t, order{Do: "hush"})
		until[speakers-1] = r.Said
		refused += r.Refused
	}
	for _, n := range tr.nodes {
		if err := n.await(until); err != nil {
			t.Error(err)
		}
	}
	heard := make([][speakers]account, 0, speakers)
	for _, n := range tr.nodes {
		heard = append(heard, n.heard())
	}
	if tr.child != nil {
		heard = append(heard, tr.child.do(t, order{Do: "await", Until: until}).Of)
	}
	took := time.Since(tr.begin)

	var sum tally
	for at, of := range heard {
		for from, a := range of {
			if from != at {
				sum.owed += tr.nodes[0].owedAt(at, from, until[from])
				sum.add(a)
			}
		}
		sum.sent += until[at]
	}
	now := sum
	sum.sent -= tr.before.sent
	sum.owed -= tr.before.owed
	sum.Delivered -= tr.before.Delivered
	sum.Lost -= tr.before.Lost
	sum.Duplicates -= tr.before.Duplicates
	sum.Gapped -= tr.before.Gapped
	tr.before = now
	line := fmt.Sprintf("RESULT broker=%s case=%s sent=%d owed=%d delivered=%d lost=%d duplicates=%d gaps=%d seconds=%.1f",
		tr.Name, tr.name, sum.sent, sum.owed, sum.Delivered, sum.Lost, sum.Duplicates, sum.Gapped, took.Seconds())
	t.Log(line)
	fmt.Println(line)
	if sum.Lost > 0 || sum.Duplicates > 0 || sum.Delivered+sum.Gapped != sum.owed {
		t.Errorf("not all was heard, once and in order: %+v", heard)
	}
	if refused > 0 {
		t.Errorf("%d messages were refused", refused)
	}
	if gaps != (sum.Gapped > 0) {
		t.Errorf("%d numbers stand under a gap", sum.Gapped)
	}
}

// owedAt is owed for the node at place.
func (s *speaker) owedAt(place, from int, n int64) int64 {
	other := speaker{place: place, mix: s.mix}
	return other.owed(from, n)
}

// mended is for the end of a fault that concerned all nodes alike: what they
// said meanwhile is heard, and nobody was declared down.
func (tr *trial) mended(t *testing.T) {
	t.Helper()
	tr.begin = time.Now()
	tr.state(t, broker.Up)
	pause(500 * time.Millisecond)
	tr.hush()
	tr.settle(t, false)
	tr.loyal(t)
}

// loyal fails if anybody was declared down.
func (tr *trial) loyal(t *testing.T) {
	t.Helper()
	for _, n := range tr.nodes {
		n.mu.Lock()
		if n.downs > 0 || len(n.ups) != speakers-1 {
			t.Errorf("node %d saw %d nodes come and %d go", n.place, len(n.ups), n.downs)
		}
		n.mu.Unlock()
	}
}

// pause lets the load go on for a time.
func pause(d time.Duration) { <-time.After(d) }
