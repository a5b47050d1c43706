package kafka_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/kafka"
)

// pair returns two nodes of a cluster that know each other.
func pair(b *testing.B) (x, y *broker.Bus) {
	addrs := brokers(b)
	cfg := kafka.Config{Brokers: addrs, Topic: topic(b, addrs), Logger: silent}
	opts := broker.Options{Cluster: brokertest.Prefix(), Logger: silent}
	var nodes []*broker.Bus
	up := make(chan struct{}, 10)
	for range 2 {
		bus, err := broker.Open(b.Context(), func(ctx context.Context) (broker.Driver, error) { return kafka.Open(ctx, cfg) }, opts)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { bus.Close() })
		bus.Watch(func(ev broker.Event) {
			if ev.Kind == broker.NodeUp {
				up <- struct{}{}
			}
		})
		nodes = append(nodes, bus)
	}
	for range 2 {
		select {
		case <-up:
		case <-time.After(brokertest.Patience):
			b.Fatal("the nodes do not find each other")
		}
	}
	return nodes[0], nodes[1]
}

// BenchmarkLatency is the time from Broadcast to the handler of another node
// at 1000 messages of 100 bytes a second: -benchtime 5000x is five seconds. A
// message that is sent late counts from the time when it should have been.
func BenchmarkLatency(b *testing.B) {
	x, y := pair(b)
	const interval = time.Millisecond
	b.ResetTimer()
	start := time.Now()
	taken := make(chan time.Duration, b.N)
	y.Handle("x", func(m broker.Message) {
		i := binary.LittleEndian.Uint64(m.Body)
		taken <- time.Since(start) - time.Duration(i)*interval
	})
	for i := range b.N {
		time.Sleep(time.Until(start.Add(time.Duration(i) * interval)))
		if err := x.Broadcast("x", binary.LittleEndian.AppendUint64(make([]byte, 0, 100), uint64(i))); err != nil {
			b.Fatal(err)
		}
	}
	var all []time.Duration
	for range b.N {
		all = append(all, <-taken)
	}
	b.StopTimer()
	slices.Sort(all)
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(all[(len(all)-1)*p/100].Microseconds())/1000, fmt.Sprint("p", p, "-ms"))
	}
}

// BenchmarkBroadcast is the time for one message of 100 bytes from Broadcast
// to the handler of another node, when as many as possible are under way.
func BenchmarkBroadcast(b *testing.B) {
	x, y := pair(b)
	got, sent := make(chan struct{}, 1<<20), 0
	y.Handle("x", func(broker.Message) { got <- struct{}{} })
	body := make([]byte, 100)
	for b.Loop() {
		err := x.Broadcast("x", body)
		for errors.Is(err, broker.ErrOverflow) {
			<-time.After(100 * time.Microsecond)
			err = x.Broadcast("x", body)
		}
		if err != nil {
			b.Fatal(err)
		}
		for sent++; sent > 1<<19; sent-- {
			<-got
		}
	}
	for range sent {
		<-got
	}
}
