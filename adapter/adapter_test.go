package adapter_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/adapter/adaptertest"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

func TestLocal(t *testing.T) {
	adaptertest.Run(t, func(*testing.T) []adapter.Adapter {
		return []adapter.Adapter{adapter.NewLocal()}
	})
}

func TestCluster(t *testing.T) {
	adaptertest.Run(t, func(t *testing.T) []adapter.Adapter {
		var nodes []adapter.Adapter
		for _, b := range openBuses(t, 3) {
			nodes = append(nodes, newCluster(b).Namespace("/"))
		}
		return nodes
	})
}

var quiet = slog.New(slog.DiscardHandler)

func newCluster(b *broker.Bus) *adapter.Cluster {
	return adapter.NewCluster(b, adapter.Options{Logger: quiet})
}

// openBuses returns n buses on one hub that know each other.
func openBuses(t *testing.T, n int) []*broker.Bus {
	t.Helper()
	hub := memory.NewHub()
	buses := make([]*broker.Bus, n)
	for i := range buses {
		b, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return hub.Driver(), nil },
			broker.Options{Node: fmt.Sprint("n", i), Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		buses[i] = b
		t.Cleanup(func() { b.Close() })
	}
	for _, b := range buses {
		up := make(chan broker.Member, 2*n)
		defer b.Watch(func(e broker.Event) {
			if e.Kind == broker.NodeUp {
				up <- e.Node
			}
		})()
		for len(b.Members()) < n-1 {
			<-up
		}
	}
	return buses
}

// A node that goes completes the wait for its answer, which is named as
// missing; the others' answers are there.
func TestPartialAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := openBuses(t, 3)
		var nodes []adapter.Adapter
		for i, b := range buses {
			if i == 2 { // knows nothing of adapters: it never answers
				continue
			}
			a := newCluster(b).Namespace("/")
			a.Add(adaptertest.NewSocket(a))
			nodes = append(nodes, a)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		n, err := nodes[0].Count(ctx, adapter.Target{})
		partial, ok := errors.AsType[*adapter.PartialError](err)
		if n != 2 || !ok || len(partial.Missing) != 1 || partial.Missing[0].Node != "n2" {
			t.Errorf("silent node: got %d, %v; want 2 and n2 missing", n, err)
		}
		if infos, err := nodes[0].Fetch(ctx, adapter.Target{}); len(infos) != 2 || err == nil {
			t.Errorf("fetch: got %d sockets, %v; want 2 and an error", len(infos), err)
		}

		receipt := nodes[0].Deliver(adapter.Target{}, &adapter.Packet{Data: []byte("x")})
		buses[2].Close()
		start := time.Now()
		n, err = receipt.Wait(t.Context())
		if n != 2 || !errors.Is(err, broker.ErrNodeDown) && !errors.As(err, new(*broker.RefusedError)) {
			t.Errorf("node gone: got %d, %v; want 2 and ErrNodeDown", n, err)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("waited %v for a node that said goodbye", d)
		}
		for _, b := range buses {
			b.Close()
		}
	})
}

// Namespaces, and clusters, know nothing of each other.
func TestNamespaces(t *testing.T) {
	buses := openBuses(t, 2)
	c0, c1 := newCluster(buses[0]), newCluster(buses[1])
	a, b, only := c0.Namespace("/a"), c1.Namespace("/a"), c1.Namespace("/b")
	if again := c0.Namespace("/a"); again != a {
		t.Error("a namespace has two adapters")
	}
	sa, sb, so := adaptertest.NewSocket(a), adaptertest.NewSocket(b), adaptertest.NewSocket(only)
	a.Add(sa)
	b.Add(sb)
	only.Add(so)
	a.Broadcast(adapter.Target{}, &adapter.Packet{Data: []byte("x")})
	if n, err := a.Count(t.Context(), adapter.Target{}); err != nil || n != 2 {
		t.Errorf("count: got %d, %v; want 2", n, err)
	}
	if n, err := only.Count(t.Context(), adapter.Target{}); err != nil || n != 1 {
		t.Errorf("count of a namespace on one node: got %d, %v; want 1", n, err)
	}
	if got := sb.Take(); !slices.Equal(got, []string{"x"}) {
		t.Errorf("got %q", got)
	}
	if got := so.Take(); got != nil {
		t.Errorf("another namespace got %q", got)
	}
}

// Fetch names the node of each socket.
func TestNodeNames(t *testing.T) {
	for i, b := range openBuses(t, 2) {
		a := newCluster(b).Namespace("/")
		a.Add(adaptertest.NewSocket(a))
		infos, err := a.Fetch(t.Context(), adapter.Target{Local: true})
		if err != nil || len(infos) != 1 || infos[0].Node != fmt.Sprint("n", i) {
			t.Errorf("got %+v, %v", infos, err)
		}
	}
}

// Foreign bytes on the channel are dropped and counted.
func TestMalformedMessages(t *testing.T) {
	buses := openBuses(t, 2)
	malformed := make(chan string, 10)
	c := adapter.NewCluster(buses[0], adapter.Options{Logger: quiet, Hooks: adapter.Hooks{
		Malformed: func(from broker.Member) { malformed <- from.Name },
	}})
	a := c.Namespace("/")
	s := adaptertest.NewSocket(a)
	a.Add(s)
	for _, b := range []string{"", "\x01", "\x7f\x00\x01/\x00\x00", "\x09\x00\x00\x00\x00\x01\x01a", "\x0a\x00\x00\x00\x00", "\x01\x00\xff\xff\xff\xff\xff\x01", "\x05\x00\x01/\x00\x00\x09"} {
		if err := buses[1].Broadcast("adapter", []byte(b)); err != nil {
			t.Fatal(err)
		}
		if from := <-malformed; from != "n1" {
			t.Errorf("from %q", from)
		}
	}
	for _, b := range []string{"nonsense", "\x08\x00\x01/\x00\x00"} {
		g, err := buses[1].Request("adapter", []byte(b))
		if err != nil {
			t.Fatal(err)
		}
		for _, answer := range g.Wait(t.Context()) {
			if _, refused := errors.AsType[*broker.RefusedError](answer.Err); !refused {
				t.Errorf("got %+v, want a refusal", answer)
			}
		}
	}
	if got := s.Take(); got != nil {
		t.Errorf("a socket got %q", got)
	}
}
