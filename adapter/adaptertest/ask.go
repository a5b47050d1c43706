package adaptertest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/carillonhq/carillon/adapter"
)

// result is what Ask returned: the answers' texts, sorted.
type result struct {
	texts []string
	err   error
}

// ask begins an Ask, which result ends.
func (c *cluster) ask(ctx context.Context, i int, t adapter.Target) <-chan result {
	done := make(chan result, 1)
	go func() { // ends with ctx
		answers, err := c.node(i).Ask(ctx, t, &adapter.Packet{Data: []byte("?")})
		var texts []string
		for _, a := range answers {
			texts = append(texts, string(a.Body))
		}
		slices.Sort(texts)
		done <- result{texts, err}
	}()
	return done
}

func (c *cluster) wantAnswers(r result, texts ...string) {
	c.t.Helper()
	if r.err != nil || !slices.Equal(r.texts, texts) {
		c.t.Errorf("got %q, %v; want %q", r.texts, r.err, texts)
	}
}

func ask(t *testing.T, c *cluster) {
	s := c.sockets(4, rooms("r"), rooms("r"), rooms("r"))
	for i := range c.nodes {
		r := c.ask(c.ctx(), i, adapter.Target{Rooms: rooms("r")})
		var wg sync.WaitGroup
		for j := range 3 {
			wg.Go(func() {
				<-s[j].Asked()
				s[j].Answer(string("abc"[j]))
			})
		}
		wg.Wait()
		c.wantAnswers(<-r, "a", "b", "c")
		c.settle(c.node(i))
		w := []string{"asked ?"}
		c.want(s, w, w, w, nil)
	}
}

func askOneSocket(t *testing.T, c *cluster) {
	s := c.sockets(3)
	for i := range c.nodes {
		for j := range s {
			r := c.ask(c.ctx(), i, adapter.Target{Rooms: rooms(adapter.Room(s[j].id))})
			<-s[j].Asked()
			s[j].Answer("x")
			c.wantAnswers(<-r, "x")
		}
	}
}

func askNobody(t *testing.T, c *cluster) {
	s := c.sockets(3)
	s[2].refuse.Store(true)
	c.wantAnswers(<-c.ask(c.ctx(), 0, adapter.Target{Rooms: rooms("nobody")}))
	c.wantAnswers(<-c.ask(c.ctx(), 0, adapter.Target{Rooms: rooms(adapter.Room(s[2].id))}))
	c.node(0).Remove(s[0].id)
	c.wantAnswers(<-c.ask(c.ctx(), 1, adapter.Target{Rooms: rooms(adapter.Room(s[0].id))}))
}

// A socket that goes ends the wait for it, and is counted.
func askWhoGoes(t *testing.T, c *cluster) {
	s := c.sockets(3)
	r := c.ask(c.ctx(), 0, adapter.Target{})
	for _, x := range s {
		<-x.Asked()
	}
	s[0].Answer("0")
	s[1].Go()
	s[2].Answer("2")
	got := <-r
	partial, ok := errors.AsType[*adapter.PartialError](got.err)
	if !ok || !errors.Is(got.err, adapter.ErrGone) || partial.Missing[0].Sockets != 1 || !slices.Equal(got.texts, []string{"0", "2"}) {
		t.Errorf("got %q, %v; want 0 and 2, and one gone", got.texts, got.err)
	}
}

// Who does not answer in time is forgotten, and a late answer ignored.
func askTheSilent(t *testing.T, c *cluster) {
	s := c.sockets(3)
	ctx, cancel := context.WithCancel(c.ctx())
	r := c.ask(ctx, 0, adapter.Target{})
	for _, x := range s {
		<-x.Asked()
	}
	cancel()
	got := <-r
	if partial, ok := errors.AsType[*adapter.PartialError](got.err); !ok || len(partial.Missing) == 0 || got.texts != nil {
		t.Errorf("got %q, %v; want a PartialError", got.texts, got.err)
	}
	c.settle(c.node(0))
	for i, x := range s {
		if n := x.Owes(); n != 0 {
			t.Errorf("socket %d still owes %d answers", i, n)
		}
	}
	r = c.ask(c.ctx(), 0, adapter.Target{})
	for _, x := range s {
		<-x.Asked()
		x.Answer("now")
	}
	c.wantAnswers(<-r, "now", "now", "now")
}

func askIsClosed(t *testing.T, c *cluster) {
	s := c.sockets(2)
	r := c.ask(c.ctx(), 0, adapter.Target{})
	for _, x := range s {
		<-x.Asked()
	}
	must(t, c.node(0).Close())
	if got := <-r; !errors.Is(got.err, adapter.ErrClosed) && !errors.As(got.err, new(*adapter.PartialError)) {
		t.Errorf("got %v, want a PartialError", got.err)
	}
}
