package adapter_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/memory"
)

// A keep is nodes that keep records for each other; it takes a bubble.
type keep struct {
	t     *testing.T
	nodes []*keepNode
}

type keepNode struct {
	*adapter.Cluster
	adapter.Keeper
	bus    *broker.Bus
	link   *brokertest.Severed
	source *adapter.DepositSource

	mu   sync.Mutex // guards all below
	said map[string]string
	lost map[string]broker.NodeID
}

func newKeep(t *testing.T, n int) *keep {
	t.Helper()
	k := &keep{t: t}
	hub := memory.NewHub()
	for i := range n {
		o := &keepNode{link: brokertest.Sever(hub.Driver()), said: make(map[string]string), lost: make(map[string]broker.NodeID)}
		b, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return o.link, nil },
			broker.Options{Node: fmt.Sprint("n", i), Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		o.bus, o.Cluster = b, newCluster(b)
		o.Keeper = o.Namespace("/").(adapter.Keeper)
		o.source = &adapter.DepositSource{
			TTL: time.Minute,
			Whole: func(keys []string) map[string][]byte {
				o.mu.Lock()
				defer o.mu.Unlock()
				all := make(map[string][]byte)
				for _, key := range keys {
					if s, ok := o.said[key]; ok {
						all[key] = []byte(s)
					}
				}
				return all
			},
			Lost: func(key string, _ uint64, by broker.NodeID) {
				o.mu.Lock()
				defer o.mu.Unlock()
				o.lost[key] = by
			},
		}
		k.nodes = append(k.nodes, o)
	}
	time.Sleep(2 * time.Second)
	for _, o := range k.nodes {
		if err := o.AwaitNodes(t.Context(), n-1); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func (o *keepNode) keep(t *testing.T, key, body string) {
	t.Helper()
	o.mu.Lock()
	o.said[key] = body
	o.mu.Unlock()
	check(t, o.Keep(o.source, key, 1, []byte(body)))
}

func (o *keepNode) more(key, body string) {
	o.mu.Lock()
	o.said[key] += body
	o.mu.Unlock()
	o.KeepMore(key, []byte(body))
}

func (o *keepNode) id() broker.NodeID { return o.bus.Self().ID }

// at returns the node that keeps a record of o's.
func (k *keep) at(o *keepNode, key string) *keepNode {
	winner, _ := adapter.Rendezvous(key, o.bus.Members())
	for _, n := range k.nodes {
		if n.id() == winner.ID {
			return n
		}
	}
	return nil
}

func (k *keep) stats() (all adapter.KeepStats) {
	for _, o := range k.nodes {
		s := o.KeepStats()
		all.Records += s.Records
		all.Orphans += s.Orphans
		all.Claims += s.Claims
		all.Bytes += s.Bytes
		all.Refused += s.Refused
	}
	return all
}

func content(c adapter.Claim) string {
	var s strings.Builder
	s.WriteString(string(c.Body))
	for _, a := range c.Added {
		s.WriteString(string(a))
	}
	return s.String()
}

const dead = 7 * time.Second // after that a node without a word is

// A record of a node that died is given to the one who claims it first, and not
// while the node is only suspected; afterwards it has left nothing.
func TestKeepClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeep(t, 4)
		a, b, c := k.nodes[0], k.nodes[1], k.nodes[2]
		keys := make([]string, 40)
		for i := range keys {
			keys[i] = rand.Text()
			a.keep(t, keys[i], "body")
			a.more(keys[i], ", more")
		}
		time.Sleep(100 * time.Millisecond)
		if s := k.stats(); s.Records != 40 || s.Refused != 0 {
			t.Fatalf("%+v, want 40 records", s)
		}

		a.link.Cut(true)
		time.Sleep(3 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, key := range keys {
			// Where the key falls to its own node, that is asked, too.
			got, err := b.Claim(ctx, key)
			if got.Lives != a.id() && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, broker.ErrTimeout) {
				t.Fatalf("claimed %+v, %v of a node that is not dead yet", got, err)
			}
		}
		time.Sleep(dead)
		for i, key := range keys {
			got, err := b.Claim(t.Context(), key)
			if err != nil || content(got) != "body, more" || got.Had != a.id() || got.Term != 2 {
				t.Fatalf("claimed %+v, %v", got, err)
			}
			again, err := c.Claim(t.Context(), key)
			if err != nil || again.Lives != b.id() {
				t.Fatalf("claimed by two: %+v, %v", again, err)
			}
			if i%2 == 0 {
				b.Release(key, got)
				time.Sleep(100 * time.Millisecond)
				if again, err = c.Claim(t.Context(), key); err != nil || content(again) != "body, more" {
					t.Fatalf("after a release: %+v, %v", again, err)
				}
			}
		}
		if got, err := b.Claim(t.Context(), "unknown"); !errors.Is(err, adapter.ErrNotKept) {
			t.Errorf("claimed %+v, %v of a key that nobody has", got, err)
		}
		time.Sleep(63 * time.Second)
		if s := k.stats(); s != (adapter.KeepStats{}) {
			t.Errorf("%+v are left", s)
		}
	})
}

// A node that was only silent hears what it has lost when it is back, and what
// it has not is kept on.
func TestKeepOwnerComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeep(t, 3)
		a, b := k.nodes[0], k.nodes[1]
		a.keep(t, "claimed", "x")
		a.keep(t, "kept", "y")
		time.Sleep(time.Second)
		a.link.Cut(true)
		time.Sleep(dead)
		if _, err := b.Claim(t.Context(), "claimed"); err != nil {
			t.Fatal(err)
		}
		check(t, b.Keep(b.source, "claimed", 2, []byte("b's")))
		time.Sleep(3 * time.Second)
		a.link.Cut(false)
		time.Sleep(5 * time.Second)
		a.mu.Lock()
		lost := len(a.lost) == 1 && a.lost["claimed"] == b.id()
		a.mu.Unlock()
		if !lost {
			t.Errorf("lost %v, want what was claimed", a.lost)
		}
		a.more("kept", "z")
		time.Sleep(2 * time.Minute)
		if got, err := b.Claim(t.Context(), "kept"); err != nil || got.Lives != a.id() {
			t.Errorf("claimed %+v, %v of a node that is back", got, err)
		}
		a.link.Cut(true)
		time.Sleep(dead)
		if got, err := b.Claim(t.Context(), "kept"); err != nil || content(got) != "yz" {
			t.Errorf("claimed %q, %v, want what the node had said when it was back, too", content(got), err)
		}
	})
}

// When the node that keeps a record dies, it is kept by another within 5 s; when
// the owner dies with it, it is lost.
func TestKeepWithDeaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeep(t, 4)
		a := k.nodes[0]
		for i := range 20 {
			a.keep(t, fmt.Sprint("k", i), "body")
		}
		time.Sleep(time.Second)
		gone := k.at(a, "k0")
		gone.link.Cut(true)
		time.Sleep(dead + 5*time.Second)
		a.link.Cut(true)
		time.Sleep(dead)
		var c *keepNode
		for _, o := range k.nodes[1:] {
			if o != gone {
				c = o
			}
		}
		for i := range 20 {
			if got, err := c.Claim(t.Context(), fmt.Sprint("k", i)); err != nil || content(got) != "body" {
				t.Errorf("claimed %q, %v", content(got), err)
			}
		}

		k = newKeep(t, 4)
		a = k.nodes[0]
		a.keep(t, "k", "body")
		time.Sleep(time.Second)
		gone = k.at(a, "k")
		gone.link.Cut(true)
		a.link.Cut(true)
		time.Sleep(dead)
		for _, o := range k.nodes[1:] {
			if o == gone {
				continue
			}
			if got, err := o.Claim(t.Context(), "k"); !errors.Is(err, adapter.ErrNotKept) {
				t.Errorf("claimed %+v, %v, of a record that died with its owner", got, err)
			}
		}
	})
}

func TestKeepRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newKeep(t, 2).nodes[0]
		for _, key := range []string{"", string(make([]byte, 129))} {
			if err := a.Keep(a.source, key, 1, nil); !errors.Is(err, adapter.ErrTooMuch) {
				t.Errorf("got %v for a key of %d bytes", err, len(key))
			}
			if _, err := a.Claim(t.Context(), key); !errors.Is(err, adapter.ErrNotKept) {
				t.Errorf("got %v for a key of %d bytes", err, len(key))
			}
		}
		if err := a.Keep(a.source, "k", 1, make([]byte, 1<<20)); !errors.Is(err, adapter.ErrTooMuch) {
			t.Errorf("got %v for a record of 1 MiB", err)
		}
	})
}
