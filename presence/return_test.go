package presence_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/presence"
)

// mute is a driver whose publishes are lost while off is set.
type mute struct {
	broker.Driver
	off atomic.Bool
}

func (d *mute) Publish(ctx context.Context, topic string, data []byte) error {
	if d.off.Load() {
		return nil
	}
	return d.Driver.Publish(ctx, topic, data)
}

// A node that was down for another without knowing it comes back with its users.
func TestReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		a := open(t, hub, "a")
		defer a.close()
		d := &mute{Driver: hub.Driver()}
		bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return d, nil },
			broker.Options{Node: "b", Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		b := &node{bus: bus, Tracker: presence.New(bus, presence.Options{})}
		defer b.close()
		settle(time.Second)
		b.Track("anna", "phone")
		settle(time.Second)
		if !a.Online("anna") {
			t.Fatal("anna is not online")
		}
		d.off.Store(true)
		settle(10 * time.Second)
		if a.Online("anna") {
			t.Fatal("anna is online, though her node is down")
		}
		d.off.Store(false)
		settle(5 * time.Second)
		if !a.Online("anna") {
			t.Error("anna's node is back, she is not")
		}
	})
}
