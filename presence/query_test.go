package presence_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/presence"
)

// Pages from the first to the last are all users, each once.
func TestPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		a := open(t, hub, "a")
		want := make(map[string]bool)
		for i := range 20_000 {
			user := fmt.Sprintf("user-%06d", i)
			a.track(t, user, "1")
			want[user] = true
		}
		b := open(t, hub, "b")
		wait(2 * time.Second)
		if got := b.Counts(); got.Users != len(want) || b.State() != presence.Synced {
			t.Errorf("b has %+v, %v", got, b.State())
		}
		after := ""
		for {
			p, err := b.Page(after, 77)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range p.Users {
				if !want[u.ID] || !u.Online || u.Devices != 1 {
					t.Fatalf("unexpected, or twice: %+v", u)
				}
				delete(want, u.ID)
			}
			if len(p.Users) > 77 || len(p.Users) == 0 && p.Next != "" {
				t.Fatalf("a page of %d", len(p.Users))
			}
			if after = p.Next; after == "" {
				break
			}
		}
		if len(want) != 0 {
			t.Errorf("%d are missing", len(want))
		}
		for range b.All() {
			break
		}
		a.close()
		wait(9 * time.Second)
		if got := b.Counts(); got.Users != 0 {
			t.Errorf("b has %+v of a node that left", got)
		}
	})
}

// A watcher that is too slow is told to read anew, and holds up nobody.
func TestSlowWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, memory.NewHub(), "a")
		block := make(chan struct{})
		var last presence.Change
		resets := 0
		a.Watch(func(c presence.Change) {
			<-block
			if last = c; c.Kind == presence.Reset {
				resets++
			}
		})
		h := a.track(t, "anna", "phone")
		for i := range 300_000 {
			if err := h.Update(presence.Meta{Status: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
		close(block)
		wait(time.Second)
		p, err := a.Page("", 10)
		if err != nil || resets == 0 || last.Seq != p.Seq {
			t.Errorf("%d resets, the last change is %+v, the view's is %d, %v", resets, last, p.Seq, err)
		}
	})
}

func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		begin := time.Now()
		a := open(t, hub, "a")
		a.track(t, "anna", "phone")
		<-a.Ready()
		if d := time.Since(begin); d < 2*time.Second || d > 3500*time.Millisecond {
			t.Errorf("alone: ready after %v", d)
		}
		begin = time.Now()
		b := open(t, hub, "b")
		<-b.Ready()
		if !b.Online("anna") || time.Since(begin) > 3500*time.Millisecond {
			t.Errorf("anna is online: %v, after %v", b.Online("anna"), time.Since(begin))
		}
		// Without a broker, too.
		begin = time.Now()
		bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return nil, errAway }, broker.Options{Logger: silent})
		if err != nil {
			t.Fatal(err)
		}
		defer bus.Close()
		c := presence.New(bus, presence.Options{Logger: silent})
		defer c.Close()
		<-c.Ready()
		if d := time.Since(begin); d < 5*time.Second || d > 6500*time.Millisecond || c.State() != presence.CutOff {
			t.Errorf("without a broker: ready after %v, %v", d, c.State())
		}
	})
}

// A node whose bus has no Tracker is not waited for.
func TestNodeWithoutTracker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		bus, err := broker.Open(t.Context(), hub.Open, broker.Options{Node: "other", Logger: silent})
		if err != nil {
			t.Fatal(err)
		}
		defer bus.Close()
		a := open(t, hub, "a")
		wait(4 * time.Second)
		if s := a.State(); s != presence.Synced {
			t.Errorf("state %v", s)
		}
	})
}
