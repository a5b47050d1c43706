package socketio_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/transport/socketio"
)

// newBubbles returns n servers that are one cluster.
func newBubbles(t *testing.T, n int) (all []*bubble) {
	t.Helper()
	hub := memory.NewHub()
	for i := range n {
		bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return hub.Driver(), nil },
			broker.Options{Node: fmt.Sprint("n", i), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = bus.Close() })
		cluster := adapter.NewCluster(bus, adapter.Options{Logger: slog.New(slog.DiscardHandler)})
		all = append(all, newBubble(t, socketio.Options{Adapter: cluster.Namespace, Recovery: socketio.Recovery{Enabled: true}}))
	}
	time.Sleep(10 * time.Second)
	return all
}

// numbers reads as many events and returns their numbers.
func (v *visitor) numbers(t *testing.T, n int) (all []int) {
	t.Helper()
	for range n {
		packet, err := v.next()
		var args []any
		if err != nil || json.Unmarshal([]byte(packet[2:]), &args) != nil || len(args) != 3 {
			t.Fatalf("got %q, %v after %v", packet, err, all)
		}
		v.offset = args[2].(string)
		all = append(all, int(args[1].(float64)))
	}
	return all
}

// A client that is back on another node is who it was, there, and gets what it
// missed once and in order, whichever node sent it and how; and so when it goes
// on, and back.
func TestTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newBubbles(t, 3)
		v := all[0].arrive()
		old := <-all[0].sockets
		old.Join("r")
		old.SetData("data")
		sent := 0
		want := []int(nil)
		emit := func(f func(n int) error) {
			sent++
			want = append(want, sent)
			if err := f(sent); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		traffic := func() {
			for _, b := range all {
				n := b.Of("/")
				emit(func(i int) error { return n.Emit("e", i) })
				emit(func(i int) error { return n.To("r").Emit("e", i) })
				emit(func(i int) error { return n.To(v.sid).Emit("e", i) })
				if err := n.Except("r").Emit("e", -1); err != nil {
					t.Error(err)
				}
			}
			emit(func(i int) error { return old.Emit("e", i) })
		}
		for move, to := range []int{1, 2, 0, 1, 0, 2} {
			traffic()
			if got := v.numbers(t, len(want)); !slices.Equal(got, want) {
				t.Fatalf("move %d: got %v, want %v", move, got, want)
			}
			want = nil
			v.cut()
			time.Sleep(100 * time.Millisecond)
			traffic()
			sid := v.sid
			v.back(all[to])
			if !v.recovered || v.sid != sid {
				t.Fatalf("move %d, to %d: recovered %v; %v %v", move, to, v.recovered, all[0].counted(), all[to].counted())
			}
			s := <-all[to].sockets
			if s.Data() != "data" || !slices.Contains(s.Rooms(), "r") || !s.Recovered() {
				t.Errorf("move %d: data %v, rooms %v", move, s.Data(), s.Rooms())
			}
		}
		v.cut()
		time.Sleep(10 * time.Minute)
		for i, b := range all {
			if got := b.RecoveryStats(); got != (socketio.RecoveryStats{}) {
				t.Errorf("node %d keeps %+v in the end", i, got)
			}
		}
	})
}
