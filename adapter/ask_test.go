package adapter_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/adapter/adaptertest"
	"github.com/carillonhq/carillon/broker"
)

type askRig struct {
	buses    []*broker.Bus
	clusters []*adapter.Cluster
	nodes    []adapter.Adapter
	sockets  []*adaptertest.Socket // two on each node
}

func openAskRig(t *testing.T, n int) *askRig {
	r := &askRig{buses: openBuses(t, n)}
	for _, b := range r.buses {
		c := newCluster(b)
		a := c.Namespace("/")
		r.clusters, r.nodes = append(r.clusters, c), append(r.nodes, a)
		for range 2 {
			s := adaptertest.NewSocket(a)
			a.Add(s)
			r.sockets = append(r.sockets, s)
		}
	}
	return r
}

func (r *askRig) close() {
	for _, b := range r.buses {
		b.Close()
	}
}

// wantNoAsks checks that no table keeps anything.
func (r *askRig) wantNoAsks(t *testing.T) {
	t.Helper()
	synctest.Wait()
	for i, c := range r.clusters {
		if ours, theirs := c.Asks(); ours != 0 || theirs != 0 {
			t.Errorf("node %d has %d questions of its own and %d of others left", i, ours, theirs)
		}
	}
	for i, s := range r.sockets {
		if n := s.Owes(); n != 0 {
			t.Errorf("socket %d owes %d answers", i, n)
		}
	}
}

func missing(err error) []adapter.Missing {
	if partial, ok := errors.AsType[*adapter.PartialError](err); ok {
		return partial.Missing
	}
	return nil
}

// The error counts the silent and the gone of each node.
func TestAskNamesTheSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openAskRig(t, 3)
		defer r.close()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		go func() {
			synctest.Wait()
			r.sockets[0].Answer("0")
			r.sockets[2].Answer("2")
			r.sockets[3].Answer("3")
			r.sockets[4].Go()
		}()
		start := time.Now()
		answers, err := r.nodes[0].Ask(ctx, adapter.Target{}, &adapter.Packet{Data: []byte("?")})
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v, want 3s", took)
		}
		if len(answers) != 3 || answers[0].Node != "n0" || answers[0].Socket != r.sockets[0].ID() {
			t.Errorf("got answers %+v", answers)
		}
		got := missing(err)
		if len(got) != 3 || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		for i, want := range []struct {
			node string
			n    int
			err  error
		}{{"n0", 1, adapter.ErrSilent}, {"n2", 1, adapter.ErrGone}, {"n2", 1, adapter.ErrSilent}} {
			if m := got[i]; m.Node != want.node || m.Sockets != want.n || !errors.Is(m.Err, want.err) {
				t.Errorf("got %+v, want %+v", m, want)
			}
		}
		r.wantNoAsks(t)
	})
}

// A node that dies ends the wait for it at once, and is named.
func TestAskOfANodeThatDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openAskRig(t, 3)
		defer r.close()
		go func() {
			synctest.Wait()
			for _, i := range []int{0, 1, 2, 4, 5} {
				r.sockets[i].Answer("x")
			}
			synctest.Wait()
			r.buses[1].Close()
		}()
		start := time.Now()
		answers, err := r.nodes[0].Ask(t.Context(), adapter.Target{}, &adapter.Packet{Data: []byte("?")})
		if took := time.Since(start); took > time.Second {
			t.Errorf("waited %v for a node that said goodbye", took)
		}
		got := missing(err)
		if len(answers) != 5 || len(got) != 1 || got[0].Node != "n1" || got[0].Sockets != 1 || !errors.Is(err, broker.ErrNodeDown) {
			t.Errorf("got %d answers, %v", len(answers), err)
		}
		r.sockets[3].Go()
		r.wantNoAsks(t)
	})
}

// What a node asked is forgotten when it dies.
func TestAskerDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openAskRig(t, 2)
		defer r.close()
		done := make(chan error)
		go func() {
			_, err := r.nodes[0].Ask(t.Context(), adapter.Target{Rooms: []adapter.Room{adapter.Room(r.sockets[2].ID())}}, &adapter.Packet{})
			done <- err
		}()
		synctest.Wait()
		if n := r.sockets[2].Owes(); n != 1 {
			t.Fatalf("the socket owes %d answers, want 1", n)
		}
		r.nodes[0].Close()
		if err := <-done; !errors.Is(err, adapter.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		r.wantNoAsks(t)

		go r.nodes[1].Ask(t.Context(), adapter.Target{}, &adapter.Packet{})
		synctest.Wait()
		r.buses[1].Close()
		r.nodes[1].Close()
		r.wantNoAsks(t)
	})
}

// Answers that are late, come twice or were never asked for change nothing.
func TestStrayAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openAskRig(t, 2)
		defer r.close()
		answer := func(number byte, text string) {
			body := append([]byte{9, 0, 0, 0, 0, number, 1, 's', 1}, text...)
			if err := r.buses[1].Send(r.buses[0].Self().ID, "adapter", body); err != nil {
				t.Error(err)
			}
		}
		answer(1, "early")
		synctest.Wait()
		var texts []string
		done := make(chan error)
		go func() {
			answers, err := r.nodes[0].Ask(t.Context(), adapter.Target{Local: true}, &adapter.Packet{})
			for _, a := range answers {
				texts = append(texts, string(a.Body))
			}
			done <- err
		}()
		synctest.Wait()
		answer(1, "of a node that was not asked")
		answer(77, "to nothing")
		synctest.Wait()
		r.sockets[0].Answer("0")
		r.sockets[1].Answer("1")
		if err := <-done; err != nil || !slices.Equal(texts, []string{"0", "1"}) {
			t.Errorf("got %q, %v", texts, err)
		}
		answer(1, "late")
		r.wantNoAsks(t)
	})
}
