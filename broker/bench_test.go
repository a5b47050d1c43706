package broker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// BenchmarkBroadcast is the time for one message of 100 bytes from Broadcast to
// the handlers of all other nodes, when as many as possible are under way.
func BenchmarkBroadcast(b *testing.B) {
	for _, c := range []struct {
		nodes int
		body  string
	}{{2, "zeros"}, {5, "zeros"}, {2, "noise"}, {5, "noise"}} {
		b.Run(fmt.Sprintf("nodes=%d/%s", c.nodes, c.body), func(b *testing.B) {
			n := c.nodes
			hub := memory.NewHub()
			var got atomic.Int64
			up := make(chan struct{}, n)
			var nodes []*broker.Bus
			for range n {
				bus, err := broker.Open(b.Context(), hub.Open, broker.Options{Logger: silent})
				if err != nil {
					b.Fatal(err)
				}
				defer bus.Close()
				bus.Handle("x", func(broker.Message) { got.Add(1) })
				bus.Handle("hi", func(broker.Message) { up <- struct{}{} })
				nodes = append(nodes, bus)
			}
			timeout := time.After(10 * time.Second)
			for len(nodes[0].Members()) < n-1 {
				select {
				case <-timeout:
					b.Fatal("the nodes do not find each other")
				case <-time.After(time.Millisecond):
				}
			}
			nodes[0].Broadcast("hi", nil)
			for range n - 1 {
				<-up
			}
			bodies := make([]byte, 1<<20)
			if c.body == "noise" {
				rand.NewChaCha8([32]byte{}).Read(bodies)
			}
			sent := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				for {
					at := sent * 101 % (1<<20 - 100)
					err := nodes[0].Broadcast("x", bodies[at:at+100])
					if err == nil {
						break
					}
					if !errors.Is(err, broker.ErrOverflow) {
						b.Fatal(err)
					}
					<-time.After(100 * time.Microsecond)
				}
				sent += int64(n - 1)
			}
			for got.Load() < sent {
				<-time.After(100 * time.Microsecond)
			}
		})
	}
}

// BenchmarkRequest is a round trip on an idle bus.
func BenchmarkRequest(b *testing.B) {
	hub := memory.NewHub()
	x, err := broker.Open(b.Context(), hub.Open, broker.Options{Logger: silent})
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	y, err := broker.Open(b.Context(), hub.Open, broker.Options{Logger: silent})
	if err != nil {
		b.Fatal(err)
	}
	defer y.Close()
	y.Respond("q", func(m broker.Message) ([]byte, error) { return m.Body, nil })
	for len(x.Members()) < 1 {
		<-time.After(time.Millisecond)
	}
	for b.Loop() {
		g, err := x.Request("q", []byte("?"))
		if err != nil {
			b.Fatal(err)
		}
		if as := g.Wait(context.Background()); len(as) != 1 || as[0].Err != nil {
			b.Fatal(as)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	var ms []broker.Msg
	for i := range 32 {
		ms = append(ms, broker.NewMsg(0, uint64(i+1), uint64(i), 0, "socketio", nil, string(make([]byte, 100))))
	}
	wire := broker.NewEnvelope(broker.NewHeader(broker.NodeID{1}, 1, 1, 1), nil, nil, ms, nil).Encode("x")
	d := broker.NewDecoder("x")
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		if err := d(wire); err != nil {
			b.Fatal(err)
		}
	}
}
