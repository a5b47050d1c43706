package broker_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// Who listens hears every node that stays, none that left, and is not noticed.
func TestOverhear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		open := func(cluster string) *broker.Bus {
			b, err := broker.Open(t.Context(), hub.Open, broker.Options{Cluster: cluster, Logger: silent})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			return b
		}
		var want []string
		for range 3 {
			want = append(want, open("c").Self().ID.String())
		}
		slices.Sort(want)
		leaving := open("c")
		open("other")
		time.Sleep(time.Second) // in the bubble
		time.AfterFunc(1500*time.Millisecond, func() { leaving.Close() })

		d := hub.Driver()
		defer d.Close()
		time.AfterFunc(time.Second, func() { d.Publish(context.Background(), "c.all", []byte("noise")) })
		time.AfterFunc(time.Second, func() { d.Publish(context.Background(), "c.all", []byte("B\x09later")) })
		got, err := broker.Overhear(t.Context(), d, "c", 3*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, id := range got.Nodes {
			ids = append(ids, id.String())
		}
		if !slices.Equal(ids, want) {
			t.Errorf("heard %v, want %v", ids, want)
		}
		if got.Noise != 1 || !got.Later {
			t.Errorf("got %+v, want one message of noise and a node of a later version", got)
		}
		b := open("c")
		time.Sleep(time.Second)
		if n := len(b.Members()); n != 3 {
			t.Errorf("there are %d members, want the listener not to be one", n)
		}
	})
}
