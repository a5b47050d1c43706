package brokertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// RunBus tests the Bus over a driver that has passed Run. open is as for Run.
func RunBus(t *testing.T, open func(t *testing.T, n int) []broker.Driver) {
	t.Run("Members", func(t *testing.T) {
		nodes := Cluster(t, open(t, 3), broker.Options{})
		for _, n := range nodes {
			ms := n.Members()
			if len(ms) != 2 || ms[0].Name >= ms[1].Name {
				t.Errorf("%s: got members %v", n.Self().Name, ms)
			}
			for _, m := range ms {
				if got, ok := n.Lookup(m.ID.Short()); !ok || got != m {
					t.Errorf("lookup of %s: got %v, %v", m.Name, got, ok)
				}
			}
			if got, ok := n.Lookup(n.Self().ID.Short()); !ok || got != n.Self() {
				t.Errorf("lookup of itself: got %v, %v", got, ok)
			}
			if s := n.State(); s != broker.Up {
				t.Errorf("got state %v, want up", s)
			}
		}
	})

	t.Run("Order", func(t *testing.T) { testOrder(t, open) })
	t.Run("Gather", func(t *testing.T) { testGather(t, open) })
	t.Run("Leave", func(t *testing.T) { testLeave(t, open) })
	t.Run("ForeignBytes", func(t *testing.T) { testForeign(t, open) })
}

// Cluster makes a Bus over each driver, named "n0", "n1" and so on, waits until
// all know each other, and closes them at the end of the test. Where opts says
// nothing, the cluster has a name of its own and logs nothing.
func Cluster(t testing.TB, drivers []broker.Driver, opts broker.Options) []*broker.Bus {
	t.Helper()
	if opts.Cluster == "" {
		opts.Cluster = Prefix()
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	var nodes []*broker.Bus
	for i, d := range drivers {
		opts.Node = fmt.Sprintf("n%d", i)
		b, err := broker.Open(within(t), func(context.Context) (broker.Driver, error) { return d, nil }, opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		nodes = append(nodes, b)
	}
	for _, b := range nodes {
		AwaitMembers(t, b, len(nodes)-1)
	}
	return nodes
}

// AwaitMembers waits until b knows n other nodes.
func AwaitMembers(t testing.TB, b *broker.Bus, n int) {
	t.Helper()
	change := make(chan struct{}, 1)
	cancel := b.Watch(func(broker.Event) {
		select {
		case change <- struct{}{}:
		default:
		}
	})
	defer cancel()
	timeout := time.After(Patience)
	for len(b.Members()) != n {
		select {
		case <-change:
		case <-timeout:
			t.Fatalf("%s knows %v, want %d other nodes", b.Self().Name, b.Members(), n)
		}
	}
}

func testOrder(t *testing.T, open func(t *testing.T, n int) []broker.Driver) {
	const n = 2000
	nodes := Cluster(t, open(t, 3), broker.Options{})
	type heard struct {
		from broker.NodeID
		at   int
		text string
	}
	all := make(chan heard, n*9)
	for i, b := range nodes {
		for _, ch := range []string{"a", "b"} {
			b.Handle(ch, func(m broker.Message) { all <- heard{m.From.ID, i, string(m.Body)} })
		}
		b.Watch(func(ev broker.Event) {
			if ev.Kind == broker.Gap {
				t.Errorf("%s: gap %d-%d of %s without a fault", b.Self().Name, ev.From, ev.To, ev.Node.Name)
			}
		})
	}
	// Each node says 0, 1, 2… to all, or every third only to the next node.
	var wg sync.WaitGroup
	want := 0
	for i, b := range nodes {
		next := nodes[(i+1)%3]
		for k := range n {
			want += 2
			if k%3 == 0 {
				want--
			}
		}
		wg.Go(func() {
			for k := range n {
				var err error
				body := fmt.Append(nil, k)
				switch k % 3 {
				case 0:
					err = b.Send(next.Self().ID, "b", body)
				case 1:
					err = b.Broadcast("a", body)
				default:
					err = b.Broadcast("b", body)
				}
				if err != nil {
					t.Errorf("message %d: %v", k, err)
				}
			}
		})
	}
	last := make(map[string]int)
	for range want {
		h := receive(t, all)
		key := fmt.Sprint(h.from, h.at)
		var k int
		fmt.Sscan(h.text, &k)
		expect, seen := last[key]
		if seen {
			expect++
		}
		isNext := nodes[(h.at+2)%3].Self().ID == h.from
		if expect%3 == 0 && !isNext {
			expect++
		}
		if k != expect {
			t.Fatalf("node %d got %d, want %d", h.at, k, expect)
		}
		last[key] = k
	}
	wg.Wait()
}

func testGather(t *testing.T, open func(t *testing.T, n int) []broker.Driver) {
	nodes := Cluster(t, open(t, 4), broker.Options{})
	asker := nodes[0]
	for i, b := range nodes[1:] {
		b.Respond("q", func(m broker.Message) ([]byte, error) {
			if i == 1 {
				return nil, errors.New("not today")
			}
			return append(m.Body, b.Self().Name...), nil
		})
	}
	g, err := asker.Request("q", []byte("I am "))
	if err != nil {
		t.Fatal(err)
	}
	as := g.Wait(within(t))
	if len(as) != 3 {
		t.Fatalf("got %d answers, want 3", len(as))
	}
	for i, a := range as {
		if a.From != nodes[i+1].Self() {
			t.Errorf("answer %d is from %v, want %v", i, a.From, nodes[i+1].Self())
		}
		refused := new(broker.RefusedError)
		if i == 1 {
			if !errors.As(a.Err, &refused) || refused.Text != "not today" {
				t.Errorf("got error %v, want the refusal", a.Err)
			}
		} else if want := "I am " + a.From.Name; a.Err != nil || string(a.Body) != want {
			t.Errorf("got %q, %v, want %q", a.Body, a.Err, want)
		}
	}

	// Named nodes, one of which is silent until time is up.
	gate := make(chan struct{})
	nodes[2].Respond("slow", func(broker.Message) ([]byte, error) { <-gate; return nil, nil })
	nodes[1].Respond("slow", func(broker.Message) ([]byte, error) { return []byte("here"), nil })
	ctx, cancel := context.WithCancel(within(t))
	g, err = asker.Request("slow", nil, nodes[2].Self().ID, nodes[1].Self().ID, broker.NodeID{1})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	asker.Handle("heard", func(broker.Message) { close(done) })
	if err := nodes[1].Send(asker.Self().ID, "heard", nil); err != nil {
		t.Fatal(err)
	}
	// The answer of node 1 need not have come before its message, which it
	// may have sent first. So ask it again, which goes in order.
	g2, err := asker.Request("slow", nil, nodes[1].Self().ID)
	if err != nil {
		t.Fatal(err)
	}
	if as := g2.Wait(within(t)); len(as) != 1 || as[0].Err != nil {
		t.Fatalf("got %v", as)
	}
	receive(t, done)
	cancel()
	as = g.Wait(ctx)
	close(gate)
	if len(as) != 3 {
		t.Fatalf("got %d answers, want 3: %v", len(as), as)
	}
	if a := as[0]; a.From.ID != (broker.NodeID{1}) || !errors.Is(a.Err, broker.ErrNodeDown) {
		t.Errorf("the unknown node: got %v", a)
	}
	if a := as[1]; a.From != nodes[1].Self() || a.Err != nil || string(a.Body) != "here" {
		t.Errorf("the node that answers: got %v", a)
	}
	if a := as[2]; a.From != nodes[2].Self() || !errors.Is(a.Err, broker.ErrTimeout) {
		t.Errorf("the silent node: got %v", a)
	}
}

func testLeave(t *testing.T, open func(t *testing.T, n int) []broker.Driver) {
	nodes := Cluster(t, open(t, 3), broker.Options{})
	leaver, stays := nodes[2], nodes[0]
	var got atomic.Int32
	down := make(chan int32, 1)
	stays.Handle("x", func(broker.Message) { got.Add(1) })
	stays.Watch(func(ev broker.Event) {
		switch ev.Kind {
		case broker.NodeDown:
			down <- got.Load()
		case broker.Gap:
			t.Error("a gap at an orderly end")
		}
	})
	leaver.Respond("never", func(broker.Message) ([]byte, error) { return nil, nil })
	for range 500 {
		if err := leaver.Broadcast("x", []byte("bye")); err != nil {
			t.Fatal(err)
		}
	}
	if err := leaver.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if n := receive(t, down); n != 500 {
		t.Errorf("%d messages came before the node was down, want 500", n)
	}
	AwaitMembers(t, nodes[1], 1)
	if err := stays.Send(leaver.Self().ID, "x", nil); !errors.Is(err, broker.ErrUnknownNode) {
		t.Errorf("send to a node that left: got %v, want ErrUnknownNode", err)
	}
	if err := leaver.Broadcast("x", nil); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("broadcast after close: got %v, want ErrClosed", err)
	}
	if _, err := leaver.Request("x", nil); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("request after close: got %v, want ErrClosed", err)
	}
	if s := leaver.State(); s != broker.Closed {
		t.Errorf("got state %v, want closed", s)
	}
}

func testForeign(t *testing.T, open func(t *testing.T, n int) []broker.Driver) {
	ds := open(t, 3)
	var dropped atomic.Int32
	cluster := Prefix()
	nodes := Cluster(t, ds[:2], broker.Options{Cluster: cluster, Hooks: broker.Hooks{Dropped: func(broker.DropReason, int) { dropped.Add(1) }}})
	t.Cleanup(func() { ds[2].Close() })
	heard := make(chan []byte, 100)
	nodes[1].Handle("x", func(m broker.Message) { heard <- m.Body })
	topics := []string{cluster + ".all", cluster + ".node." + nodes[1].Self().ID.String()}
	junk := [][]byte{{0}, []byte("B"), []byte("hello"), bytes.Repeat([]byte{0xff}, 1000), append([]byte{'B', 1}, make([]byte, 300)...)}
	for i := range 20 {
		for _, topic := range topics {
			for _, j := range junk {
				publish(t, ds[2], topic, j)
			}
		}
		if err := nodes[0].Broadcast("x", []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, heard); !bytes.Equal(got, []byte{byte(i)}) {
			t.Fatalf("got %v, want [%d]", got, i)
		}
	}
	if dropped.Load() == 0 {
		t.Error("nothing was counted as dropped")
	}
	if len(nodes[0].Members()) != 1 || len(nodes[1].Members()) != 1 {
		t.Error("junk became a member")
	}
}
