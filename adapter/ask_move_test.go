package adapter_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/memory"
)

// A pupil counts what it is asked, and does not answer.
type pupil struct {
	listener
	asked *atomic.Int32
}

func (p *pupil) Ask(*adapter.Packet, func([]byte, bool)) bool {
	p.asked.Add(1)
	return true
}

func (p *pupil) Forget(*adapter.Packet) {}

// Who was asked on a node, and goes to one that has not heard the question yet,
// is not asked once more: whether the node was another than the asker's or not.
func TestAskOfOneThatMoves(t *testing.T) {
	for asker := range 2 {
		t.Run(fmt.Sprint("by node ", asker), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := memory.NewHub()
				var buses []*broker.Bus
				var links []*brokertest.Severed
				for i := range 3 {
					link := brokertest.Sever(hub.Driver())
					bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return link, nil },
						broker.Options{Node: fmt.Sprint("n", i), Logger: quiet})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { bus.Close() })
					buses, links = append(buses, bus), append(links, link)
				}
				time.Sleep(10 * time.Second)
				nodes, logs := recorded(t, buses)
				var asked atomic.Int32
				s := &pupil{listener{id: nodes[0].NewID()}, &asked}
				nodes[0].Add(s)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				links[2].Cut(true)
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, _ = nodes[asker].Ask(ctx, adapter.Target{}, packet("?"))
				}()
				time.Sleep(100 * time.Millisecond)
				var x *adapter.Transfer
				logs[0].Sequence(func() {
					var err error
					x, err = logs[0].Export(s.id, logs[0].Head(), 100)
					check(t, err)
					logs[0].Release(s.id)
				})
				logs[2].Sequence(func() {
					_, err := logs[2].Import(s, x)
					check(t, err)
				})
				logs[2].Return(s.id)
				links[2].Cut(false)
				<-done
				if n := asked.Load(); n != 1 {
					t.Errorf("asked %d times", n)
				}
			})
		})
	}
}
