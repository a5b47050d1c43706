package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
)

// told is what the NodeHandlers of a cluster's nodes were told.
type told struct {
	mu  sync.Mutex
	got [][]string // by node
}

func (c *cluster) listen() *told {
	h := &told{got: make([][]string, len(c.nodes))}
	for i, a := range c.nodes {
		a.HandleNodes(func(from string, body []byte, answer func([]byte, error)) {
			h.mu.Lock()
			h.got[i] = append(h.got[i], string(body))
			h.mu.Unlock()
			if answer != nil {
				answer(fmt.Append(nil, i, " to ", string(body)), nil)
				answer([]byte("again"), nil)
				answer(nil, errors.New("again"))
			}
		})
	}
	return h
}

func (h *told) take(i int) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	got := h.got[i]
	h.got[i] = nil
	return got
}

// Every other node is told, in order with what it is told to do, and never the
// one that tells.
func tellNodes(t *testing.T, c *cluster) {
	s := c.sockets(len(c.nodes))
	for i, a := range c.nodes {
		heard := make([]int, len(c.nodes)) // by each node when it was told
		for j := range c.nodes {
			c.node(j).HandleNodes(func(_ string, body []byte, answer func([]byte, error)) {
				if string(body) != "told" || answer != nil {
					t.Errorf("told %q, to answer: %v", body, answer != nil)
				}
				heard[j] = s[j].Heard()
			})
		}
		c.broadcast(a, adapter.Target{}, "before")
		must(t, a.TellNodes([]byte("told")))
		c.broadcast(a, adapter.Target{}, "after")
		c.settle(a)
		for j := range c.nodes {
			want := 1
			if i == j {
				want = 0
			}
			if heard[j] != want {
				t.Errorf("node %d was told by %d after %d of its packets, want %d", j, i, heard[j], want)
			}
			s[j].Take()
		}
	}
	empty := make(chan []byte, len(c.nodes))
	for _, a := range c.nodes {
		a.HandleNodes(func(_ string, body []byte, _ func([]byte, error)) { empty <- body })
	}
	must(t, c.node(0).TellNodes(nil))
	c.settle(c.node(0))
	if len(empty) != len(c.nodes)-1 {
		t.Errorf("%d nodes were told nothing at all, want %d", len(empty), len(c.nodes)-1)
	}
}

func askNodes(t *testing.T, c *cluster) {
	h := c.listen()
	for i, a := range c.nodes {
		answers, err := a.AskNodes(c.ctx(), []byte("?"))
		var got, want, nodes []string
		for _, x := range answers {
			got = append(got, string(x.Body))
			nodes = append(nodes, x.Node)
		}
		for j := range c.nodes {
			if j != i {
				want = append(want, fmt.Sprint(j, " to ?"))
			}
			h.take(j)
		}
		slices.Sort(got)
		slices.Sort(nodes)
		if err != nil || !slices.Equal(got, want) || len(slices.Compact(nodes)) != len(want) {
			t.Errorf("node %d got %q of %q, %v; want %q", i, got, nodes, err, want)
		}
	}
	if len(c.nodes) < 2 {
		return
	}
	c.node(1).HandleNodes(func(_ string, _ []byte, answer func([]byte, error)) { answer(nil, errors.New("not now")) })
	answers, err := c.node(0).AskNodes(c.ctx(), []byte("?"))
	partial, _ := errors.AsType[*adapter.PartialError](err)
	refused, _ := errors.AsType[*broker.RefusedError](err)
	if len(answers) != len(c.nodes)-2 || refused == nil || refused.Text != "not now" || len(partial.Missing) != 1 || partial.Missing[0].Sockets != 0 {
		t.Errorf("got %d answers, %v; want a refusal of one node", len(answers), err)
	}
	c.node(1).HandleNodes(nil)
	if answers, err := c.node(0).AskNodes(c.ctx(), []byte("?")); err != nil || len(answers) != len(c.nodes)-2 {
		t.Errorf("got %d answers, %v; want those of nodes that handle it", len(answers), err)
	}
}

// Who does not answer in time is named; its late answer is ignored.
func askNodesSilent(t *testing.T, c *cluster) {
	if len(c.nodes) < 2 {
		return // nobody to ask
	}
	c.listen()
	asked := make(chan func([]byte, error), 1)
	c.node(1).HandleNodes(func(_ string, _ []byte, answer func([]byte, error)) { asked <- answer })
	ctx, cancel := context.WithCancel(c.ctx())
	var late func([]byte, error)
	go func() {
		late = <-asked
		cancel()
	}()
	answers, err := c.node(0).AskNodes(ctx, []byte("?"))
	partial, ok := errors.AsType[*adapter.PartialError](err)
	if !ok || len(answers)+len(partial.Missing) != len(c.nodes)-1 || !errors.Is(err, adapter.ErrSilent) && !errors.Is(err, broker.ErrTimeout) {
		t.Errorf("got %d answers, %v", len(answers), err)
	}
	late([]byte("late"), nil)
	c.node(1).HandleNodes(nil)
	if answers, err := c.node(0).AskNodes(c.ctx(), []byte("?")); err != nil || len(answers) != len(c.nodes)-2 {
		t.Errorf("got %d answers, %v", len(answers), err)
	}
}
