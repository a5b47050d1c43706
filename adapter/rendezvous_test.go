package adapter_test

import (
	"crypto/rand"
	"fmt"
	"slices"
	"testing"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
)

func members(n int) []broker.Member {
	nodes := make([]broker.Member, n)
	for i := range nodes {
		nodes[i].Name = fmt.Sprint("node", i)
		rand.Read(nodes[i].ID[:])
	}
	return nodes
}

func TestRendezvous(t *testing.T) {
	const keys = 10_000
	nodes := members(5)
	before := make(map[string]string)
	got := make(map[string]int)
	for i := range keys {
		key := rand.Text()
		m, ok := adapter.Rendezvous(key, nodes)
		if !ok {
			t.Fatal("no node of five")
		}
		before[key] = m.Name
		got[m.Name]++
		if i < 100 {
			turned := slices.Clone(nodes)
			slices.Reverse(turned)
			if other, _ := adapter.Rendezvous(key, turned); other != m {
				t.Fatalf("got %s and %s, depending on the order of the nodes", m.Name, other.Name)
			}
		}
	}
	for name, n := range got {
		if n < keys/5*9/10 || n > keys/5*11/10 {
			t.Errorf("%d of %d keys fall to %s of five", n, keys, name)
		}
	}
	if len(got) != 5 {
		t.Errorf("keys fall to %d of five nodes", len(got))
	}

	// One leaves, or is about to: only what fell to it moves.
	gone := nodes[2].Name
	leaving := slices.Clone(nodes)
	leaving[2].Draining = true
	for key, was := range before {
		m, _ := adapter.Rendezvous(key, slices.Delete(slices.Clone(nodes), 2, 3))
		if m.Name != was && was != gone {
			t.Fatalf("a key moved from %s to %s when %s left", was, m.Name, gone)
		}
		if d, _ := adapter.Rendezvous(key, leaving); d != m {
			t.Fatalf("got %s while %s is draining, %s after it", d.Name, gone, m.Name)
		}
	}
}

func TestRendezvousOfNobody(t *testing.T) {
	if m, ok := adapter.Rendezvous("key", nil); ok {
		t.Errorf("got %v of no nodes", m)
	}
	if m, ok := adapter.Rendezvous("key", []broker.Member{{Draining: true}}); ok {
		t.Errorf("got %v, which is about to leave", m)
	}
}
