package broker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// Requests go in order with messages, and so do answers.
func TestRequestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{})
		y.Respond("q", func(m broker.Message) ([]byte, error) {
			y.note("asked: %s", m.Body)
			return []byte("fine"), y.Broadcast("a", []byte("before the answer"))
		})
		ok(t, x.Broadcast("a", []byte("1")))
		g, err := x.Request("q", []byte("2"))
		ok(t, err)
		ok(t, x.Send(y.Self().ID, "a", []byte("3")))
		g2, err := x.Request("q", []byte("4"), y.Self().ID)
		ok(t, err)
		for _, g := range []*broker.Gather{g, g2} {
			as := g.Wait(t.Context())
			if len(as) != 1 || as[0].From != y.Self() || as[0].Err != nil || string(as[0].Body) != "fine" {
				t.Errorf("got %v", as)
			}
		}
		equal(t, y.take(), "x: 1", "asked: 2", "x: 3", "asked: 4")
		equal(t, x.take(), "y: before the answer", "y: before the answer")
		if n := x.Pending(); n != 0 {
			t.Errorf("%d gathers are left", n)
		}
	})
}

func TestRequestFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{})

		// Nobody answers on the channel.
		g, err := x.Request("none", nil)
		ok(t, err)
		refused := new(broker.RefusedError)
		if as := g.Wait(t.Context()); len(as) != 1 || !errors.As(as[0].Err, &refused) {
			t.Errorf("without a responder: got %v", as)
		}

		// The answer is lost: time is up.
		y.Respond("q", func(broker.Message) ([]byte, error) { return nil, nil })
		y.faults.set(func(f *faults) { f.mute = true })
		g, err = x.Request("q", nil)
		ok(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if as := g.Wait(ctx); len(as) != 1 || !errors.Is(as[0].Err, broker.ErrTimeout) {
			t.Errorf("lost answer: got %v", as)
		}

		// The node goes down meanwhile, which ends the wait at once.
		g, err = x.Request("q", nil, y.Self().ID, x.Self().ID)
		ok(t, err)
		begin := time.Now()
		as := g.Wait(t.Context())
		if took := time.Since(begin); took > 6*time.Second {
			t.Errorf("took %v, want the time to notice the crash", took)
		}
		if len(as) != 2 {
			t.Fatalf("got %v", as)
		}
		for _, a := range as {
			if !errors.Is(a.Err, broker.ErrNodeDown) {
				t.Errorf("got %v, want ErrNodeDown", a)
			}
		}

		// With nobody there, nobody is asked.
		g, err = x.Request("q", nil)
		ok(t, err)
		if as := g.Wait(t.Context()); len(as) != 0 {
			t.Errorf("got %v", as)
		}
		if n := x.Pending(); n != 0 {
			t.Errorf("%d gathers are left", n)
		}
	})
}

func TestGatherIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{})
		y.Respond("q", func(broker.Message) ([]byte, error) { time.Sleep(time.Minute); return nil, nil })
		g, err := x.Request("q", nil)
		ok(t, err)
		time.Sleep(29 * time.Second)
		if n := x.Pending(); n != 1 {
			t.Errorf("%d gathers after 29s, want 1", n)
		}
		time.Sleep(3 * time.Second)
		if n := x.Pending(); n != 0 {
			t.Errorf("%d gathers after 32s, want 0", n)
		}
		if as := g.Wait(t.Context()); len(as) != 1 || !errors.Is(as[0].Err, broker.ErrTimeout) {
			t.Errorf("got %v", as)
		}
		time.Sleep(time.Minute)
	})
}

func TestWaitEndsWithTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		x, y := start(t, hub, "x", broker.Options{}), start(t, hub, "y", broker.Options{})
		synctest.Wait()
		release := make(chan struct{})
		y.Respond("q", func(broker.Message) ([]byte, error) { <-release; return nil, nil })
		g, err := x.Request("q", nil)
		ok(t, err)
		done := make(chan []broker.Answer)
		go func() { done <- g.Wait(context.Background()) }()
		synctest.Wait()
		ok(t, x.Close())
		if as := <-done; len(as) != 1 || !errors.Is(as[0].Err, broker.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", as)
		}
		close(release)
	})
}
