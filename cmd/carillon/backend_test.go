package main

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/presence"
)

// A deafDriver hears nothing while it is deaf.
type deafDriver struct {
	broker.Driver
	deaf *atomic.Bool
}

func (d deafDriver) Subscribe(ctx context.Context, topic string, h broker.Handler) (broker.Subscription, error) {
	return d.Driver.Subscribe(ctx, topic, func(data []byte) {
		if !d.deaf.Load() {
			h(data)
		}
	})
}

// What /readyz says of presence and of the end, in words.
func TestChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deaf atomic.Bool
		logger := slog.New(slog.DiscardHandler)
		hub := memory.NewHub()
		bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) {
			return deafDriver{hub.Driver(), &deaf}, nil
		}, broker.Options{Node: "one", Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
		defer bus.Close()
		users := presence.New(bus, presence.Options{Logger: logger})
		defer users.Close()
		b := &backend{bus: bus, users: users, logger: logger}
		checks := b.checks()
		says := func(when, name, reason string) {
			t.Helper()
			synctest.Wait()
			r := checks.Report()
			if r.Ready != (reason == "") {
				t.Errorf("%s: ready is %v", when, r.Ready)
			}
			for _, f := range r.Checks {
				if want := f.Name != name; f.OK != want || f.Name == name && !strings.HasPrefix(f.Reason, reason) {
					t.Errorf("%s: %+v", when, f)
				}
			}
		}
		says("at first", "presence", "this node has just started")
		time.Sleep(6 * time.Second)
		says("soon", "", "")
		deaf.Store(true)
		time.Sleep(10 * time.Second)
		says("deaf", "presence", "cut off")
		deaf.Store(false)
		time.Sleep(10 * time.Second)
		says("after it", "", "")
		b.draining.Store(true)
		says("at the end", "draining", "this node is about to stop")
	})
}
