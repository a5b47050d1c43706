package brokertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// Run tests the contract of broker.Driver. open returns n drivers of one
// broker, on which nobody else uses topics that begin with "test-". Run closes
// them; open may have them closed again.
func Run(t *testing.T, open func(t *testing.T, n int) []broker.Driver) {
	drivers := func(t *testing.T, n int) []broker.Driver {
		t.Helper()
		ds := open(t, n)
		t.Cleanup(func() {
			for _, d := range ds {
				if err := d.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}
		})
		return ds
	}

	t.Run("FanOut", func(t *testing.T) {
		ds, topic := drivers(t, 3), Prefix()
		var cs []<-chan []byte
		for _, d := range append(ds, ds[0]) { // one driver may subscribe twice
			c, _ := subscribe(t, d, topic)
			cs = append(cs, c)
		}
		for i, d := range ds {
			publish(t, d, topic, []byte{byte(i)})
			for j, c := range cs {
				if got := receive(t, c); !bytes.Equal(got, []byte{byte(i)}) {
					t.Errorf("subscriber %d got %v, want [%d]", j, got, i)
				}
			}
		}
	})

	t.Run("Order", func(t *testing.T) {
		const n = 300
		ds, topic := drivers(t, 3), Prefix()
		c1, _ := subscribe(t, ds[0], topic)
		c2, _ := subscribe(t, ds[2], topic)
		var wg sync.WaitGroup
		for p, d := range ds {
			wg.Go(func() {
				for i := range n {
					if err := d.Publish(within(t), topic, fmt.Appendf(nil, "%d %d", p, i)); err != nil {
						t.Errorf("publish: %v", err)
					}
				}
			})
		}
		for _, c := range []<-chan []byte{c1, c2} {
			var next [3]int
			for range n * len(ds) {
				var p, i int
				if _, err := fmt.Sscan(string(receive(t, c)), &p, &i); err != nil {
					t.Fatal(err)
				}
				if i != next[p] {
					t.Fatalf("publisher %d: got %d, want %d", p, i, next[p])
				}
				next[p]++
			}
		}
		wg.Wait()
	})

	t.Run("OneCallAtATime", func(t *testing.T) {
		ds, topic := drivers(t, 2), Prefix()
		var busy atomic.Int32
		done := make(chan struct{}, 200)
		_, err := ds[0].Subscribe(within(t), topic, func([]byte) {
			if busy.Add(1) != 1 {
				t.Error("two calls of one handler at the same time")
			}
			busy.Add(-1)
			done <- struct{}{}
		})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() { publish(t, ds[i%2], topic, []byte("x")) })
		}
		for range 200 {
			receive(t, done)
		}
		wg.Wait()
	})

	t.Run("LiveWhenSubscribeReturns", func(t *testing.T) {
		ds := drivers(t, 2)
		for i := range 100 {
			topic := Prefix()
			if i%2 == 1 { // the topic has a past, which is not heard
				publish(t, ds[1], topic, []byte("before"))
			}
			c, s := subscribe(t, ds[0], topic)
			publish(t, ds[1], topic, []byte("after"))
			if got := receive(t, c); string(got) != "after" {
				t.Fatalf("round %d: got %q, want %q", i, got, "after")
			}
			if err := s.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
		}
	})

	t.Run("TopicsApart", func(t *testing.T) {
		d, a, b := drivers(t, 1)[0], Prefix(), Prefix()
		ca, _ := subscribe(t, d, a)
		cb, _ := subscribe(t, d, b)
		publish(t, d, Prefix(), []byte("to nobody"))
		publish(t, d, a, []byte("a"))
		publish(t, d, b, []byte("b"))
		if got := receive(t, ca); string(got) != "a" {
			t.Errorf("got %q, want a", got)
		}
		if got := receive(t, cb); string(got) != "b" {
			t.Errorf("got %q, want b", got)
		}
		nothing(t, ca, "of another topic")
		nothing(t, cb, "of another topic")
	})

	t.Run("Large", func(t *testing.T) {
		ds, topic := drivers(t, 2), Prefix()
		c, _ := subscribe(t, ds[1], topic)
		data := make([]byte, 200<<10)
		for i := range data {
			data[i] = byte(i * i >> 3)
		}
		for range 5 {
			publish(t, ds[0], topic, data)
			if got := receive(t, c); !bytes.Equal(got, data) {
				t.Fatal("200 KiB came as something else")
			}
		}
	})

	t.Run("Ownership", func(t *testing.T) {
		ds, topic := drivers(t, 2), Prefix()
		c1, _ := subscribe(t, ds[0], topic)
		c2, _ := subscribe(t, ds[1], topic)
		data := []byte("first.")
		publish(t, ds[0], topic, data)
		copy(data, "second")
		publish(t, ds[0], topic, data)
		first := receive(t, c1)
		if string(first) != "first." {
			t.Errorf("got %q, want %q: the driver kept the publisher's data", first, "first.")
		}
		copy(first, "mine!!")
		receive(t, c1)
		if got := receive(t, c2); string(got) != "first." {
			t.Errorf("got %q, want %q: two handlers got the same memory", got, "first.")
		}
		if string(first) != "mine!!" {
			t.Errorf("got %q, want %q: the driver used a handler's data again", first, "mine!!")
		}
	})

	t.Run("Context", func(t *testing.T) {
		d, topic := drivers(t, 1)[0], Prefix()
		c, _ := subscribe(t, d, topic)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		if err := d.Publish(ctx, topic, []byte("late")); err == nil {
			t.Error("publish with a context that is over succeeded")
		}
		if s, err := d.Subscribe(ctx, Prefix(), func([]byte) {}); err == nil {
			t.Errorf("subscribe with a context that is over succeeded: %v", s)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("calls with a context that is over took %v", took)
		}

		// A subscription outlives the context of its call.
		ctx, cancel = context.WithCancel(t.Context())
		topic2 := Prefix()
		c2 := make(chan []byte, 1)
		if _, err := d.Subscribe(ctx, topic2, func(b []byte) { c2 <- b }); err != nil {
			t.Fatal(err)
		}
		cancel()
		publish(t, d, topic2, []byte("x"))
		receive(t, c2)
		publish(t, d, topic, []byte("x"))
		for got := receive(t, c); string(got) != "x"; got = receive(t, c) {
			if string(got) != "late" { // which may have reached the broker
				t.Fatalf("got %q", got)
			}
		}
	})

	t.Run("CloseSubscription", func(t *testing.T) {
		ds, topic := drivers(t, 2), Prefix()
		var closed atomic.Bool
		_, other := subscribe(t, ds[0], topic)
		s, err := ds[0].Subscribe(within(t), topic, func([]byte) {
			if closed.Load() {
				t.Error("a handler was called after its subscription's close")
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		c, _ := subscribe(t, ds[1], topic)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					publish(t, ds[1], topic, []byte("x"))
				}
			}
		})
		receive(t, c)
		start := time.Now()
		for range 2 {
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			closed.Store(true)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("close took %v", took)
		}
		if err := other.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		for range 20 {
			receive(t, c)
		}
		close(stop)
		wg.Wait()
	})

	t.Run("Close", func(t *testing.T) {
		ds, topic := drivers(t, 2), Prefix()
		var closed atomic.Bool
		s, err := ds[0].Subscribe(within(t), topic, func([]byte) {
			if closed.Load() {
				t.Error("a handler was called after its driver's close")
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		c, _ := subscribe(t, ds[1], topic)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for !closed.Load() {
					if err := ds[0].Publish(within(t), topic, []byte("x")); err != nil && !closed.Load() && !errors.Is(err, broker.ErrClosed) {
						t.Logf("publish while closing: %v", err)
					}
				}
			})
		}
		receive(t, c)
		start := time.Now()
		for range 2 {
			if err := ds[0].Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			closed.Store(true)
		}
		wg.Wait()
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("close took %v", took)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close of a subscription after its driver: %v", err)
		}
		if err := ds[0].Publish(within(t), topic, []byte("x")); !errors.Is(err, broker.ErrClosed) {
			t.Errorf("publish after close: got %v, want ErrClosed", err)
		}
		if _, err := ds[0].Subscribe(within(t), topic, func([]byte) {}); !errors.Is(err, broker.ErrClosed) {
			t.Errorf("subscribe after close: got %v, want ErrClosed", err)
		}
		publish(t, ds[1], topic, []byte("last")) // the others go on
		for string(receive(t, c)) != "last" {
		}
	})

	t.Run("Concurrent", func(t *testing.T) {
		ds := drivers(t, 2)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				d, topic := ds[i%2], Prefix()
				for range 3 {
					c := make(chan []byte, 10)
					s, err := d.Subscribe(within(t), topic, func(b []byte) { c <- b })
					if err != nil {
						t.Errorf("subscribe: %v", err)
						return
					}
					for j := range 10 {
						if err := d.Publish(within(t), topic, []byte{byte(j)}); err != nil {
							t.Errorf("publish: %v", err)
							return
						}
					}
					for j := range 10 {
						select {
						case got := <-c:
							if !bytes.Equal(got, []byte{byte(j)}) {
								t.Errorf("got %v, want [%d]", got, j)
							}
						case <-time.After(Patience):
							t.Error("nothing came")
							return
						}
					}
					if err := s.Close(); err != nil {
						t.Errorf("close: %v", err)
					}
				}
			})
		}
		wg.Wait()
	})
}
