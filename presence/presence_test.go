package presence_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/presence"
)

// A node is a Tracker on a Bus, and what it told.
type node struct {
	*presence.Tracker
	bus *broker.Bus
	f   *faults

	mu    sync.Mutex // guards told
	told  []string   // "+anna", "-anna", "anna=away", "replaced anna/phone by b", "cut off"
	calls struct{ repairs, snapshots int }
}

func open(t *testing.T, hub *memory.Hub, name string) *node {
	t.Helper()
	return openWith(t, hub, name, presence.Options{})
}

func openWith(t *testing.T, hub *memory.Hub, name string, opts presence.Options) *node {
	t.Helper()
	n := &node{f: &faults{}}
	var err error
	n.bus, err = broker.Open(t.Context(), func(context.Context) (broker.Driver, error) {
		return faulty{hub.Driver(), n.f}, nil
	}, broker.Options{Node: name, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	opts.Logger = silent
	count := func(c *int) func(broker.Member) {
		return func(broker.Member) {
			n.mu.Lock()
			defer n.mu.Unlock()
			*c++
		}
	}
	opts.Hooks.Repair, opts.Hooks.Snapshot = count(&n.calls.repairs), count(&n.calls.snapshots)
	n.Tracker = presence.New(n.bus, opts)
	n.Watch(func(c presence.Change) {
		switch c.Kind {
		case presence.Online:
			n.note("+%s", c.User)
		case presence.Offline:
			n.note("-%s", c.User)
		case presence.Updated:
			n.note("%s=%s", c.User, c.Status)
		default:
			n.note("%v", c.Kind)
		}
	})
	n.WatchReplaced(func(r presence.Replaced) { n.note("replaced %s/%s by %s", r.User, r.Device, r.By.Name) })
	t.Cleanup(n.close)
	return n
}

func (n *node) note(format string, a ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = append(n.told, fmt.Sprintf(format, a...))
}

func (n *node) close() {
	n.Tracker.Close()
	n.bus.Close()
}

// crash ends a node without a word.
func (n *node) crash() {
	n.f.set(func(f *faults) { f.mute, f.deaf = true, true })
	n.close()
}

// take returns what was told since the last call, sorted.
func (n *node) take() []string {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	told := n.told
	n.told = nil
	return told
}

func (n *node) wants(t *testing.T, what string, told ...string) {
	t.Helper()
	got := n.take()
	slices.Sort(got)
	slices.Sort(told)
	if !slices.Equal(got, told) {
		t.Errorf("%s: %s told %q, want %q", what, n.bus.Self().Name, got, told)
	}
}

func (n *node) track(t *testing.T, user, device string) *presence.Hold {
	t.Helper()
	h, err := n.Track(user, device, presence.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		a, b := open(t, hub, "a"), open(t, hub, "b")
		wait(time.Second)
		all := func(what string, told ...string) {
			t.Helper()
			wait(time.Second)
			a.wants(t, what, told...)
			b.wants(t, what, told...)
		}
		phone := a.track(t, "anna", "phone")
		all("the first device", "+anna")
		laptop := b.track(t, "anna", "laptop")
		all("another one, on another node")
		if ds := a.Devices("anna"); len(ds) != 2 || ds[0].ID != "laptop" || ds[0].Node != b.bus.Self() || ds[1].ID != "phone" || ds[0].Lost {
			t.Errorf("devices %+v", ds)
		}
		us, seq := b.Get("anna", "bob")
		if seq != 1 || len(us) != 2 || us[0].Devices != 2 || !us[0].Online || !slices.Equal(us[0].Nodes, []string{"a", "b"}) || us[1].Online || us[1].ID != "bob" {
			t.Errorf("users %+v at %d", us, seq)
		}
		if !b.Online("anna") || b.Online("bob") {
			t.Error("wrong about who is online")
		}
		if c := b.Counts(); c != (presence.Counts{Users: 1, Devices: 2, Nodes: 2}) {
			t.Errorf("counts %+v", c)
		}
		phone.Leave()
		phone.Leave()
		all("one said goodbye")
		laptop.Leave()
		all("the last one did", "-anna")
		if err := laptop.Update(presence.Meta{}); !errors.Is(err, presence.ErrGone) {
			t.Errorf("update of what is gone: %v", err)
		}
	})
}

// Who is back within the grace was never away; who is not has gone at its end.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		a, b := open(t, hub, "a"), open(t, hub, "b")
		wait(time.Second)
		h := a.track(t, "anna", "phone")
		wait(time.Second)
		a.wants(t, "came", "+anna")
		b.wants(t, "came", "+anna")
		h.Lose()
		wait(7900 * time.Millisecond)
		if ds := b.Devices("anna"); len(ds) != 1 || !ds[0].Lost {
			t.Errorf("devices %+v", ds)
		}
		h = b.track(t, "anna", "phone") // on another node
		wait(20 * time.Second)
		h.Lose()
		wait(5 * time.Second)
		h = b.track(t, "anna", "phone") // on the same one
		wait(20 * time.Second)
		a.wants(t, "back twice")
		b.wants(t, "back twice")
		h.Lose()
		wait(7900 * time.Millisecond)
		a.wants(t, "still in the grace")
		wait(time.Second)
		a.wants(t, "after it", "-anna")
		b.wants(t, "after it", "-anna")
		h = a.track(t, "anna", "phone")
		h.Lose()
		wait(time.Second)
		b.track(t, "anna", "phone").Leave() // she came back to say goodbye
		wait(time.Second)
		a.wants(t, "goodbye", "+anna", "-anna")
	})
}

// Who says goodbye on one of two devices keeps the grace of a third: another
// node may hear of its end before it hears of the device that is left.
func TestGoodbyeOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		a, b := openWith(t, hub, "a", presence.Options{Grace: time.Minute}), openWith(t, hub, "b", presence.Options{Grace: time.Minute})
		c := openWith(t, hub, "c", presence.Options{Grace: time.Second})
		wait(3 * time.Second)
		laptop := a.track(t, "anna", "laptop")
		b.track(t, "anna", "phone").Lose()
		wait(time.Second)
		tablet := c.track(t, "anna", "tablet")
		wait(time.Second)
		laptop.Leave()
		wait(time.Second)
		tablet.Lose() // which is no goodbye
		wait(30 * time.Second)
		a.wants(t, "the phone may be back", "+anna")
		wait(time.Minute)
		a.wants(t, "after its grace", "-anna")

		laptop = a.track(t, "anna", "laptop")
		b.track(t, "anna", "phone").Lose()
		wait(time.Second)
		tablet = a.track(t, "anna", "tablet")
		laptop.Leave()
		wait(time.Second)
		a.wants(t, "on the tablet", "+anna")
		tablet.Leave()
		wait(time.Second)
		a.wants(t, "goodbye", "-anna")
	})
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		a, b := open(t, hub, "a"), open(t, hub, "b")
		wait(time.Second)
		h, err := a.Track("anna", "phone", presence.Meta{Name: "Anna's phone", Status: "away", Data: "{}"})
		if err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		b.wants(t, "came", "+anna")
		if ds := b.Devices("anna"); len(ds) != 1 || ds[0].Meta != (presence.Meta{Name: "Anna's phone", Status: "away", Data: "{}"}) {
			t.Errorf("devices %+v", ds)
		}
		if us, _ := b.Get("anna"); us[0].Status != "away" {
			t.Errorf("user %+v", us[0])
		}
		laptop := b.track(t, "anna", "laptop")
		wait(time.Second)
		a.wants(t, "she is at the laptop", "+anna", "anna=")
		if err := laptop.Update(presence.Meta{Status: "busy"}); err != nil {
			t.Error(err)
		}
		wait(time.Second)
		a.wants(t, "the first in the alphabet", "anna=away")
		h.Leave()
		wait(time.Second)
		a.wants(t, "the other one's", "anna=busy")
		if err := laptop.Update(presence.Meta{Data: strings.Repeat("x", 1025)}); !errors.Is(err, presence.ErrInvalid) {
			t.Errorf("too much metadata: %v", err)
		}
	})
}

func TestInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, memory.NewHub(), "a")
		for _, c := range []struct{ user, device, text string }{
			{"", "d", "presence: invalid: the ID of the user has 0 bytes, 1 to 300 are possible"},
			{"u", strings.Repeat("d", 301), "presence: invalid: the ID of the device has 301 bytes, 1 to 300 are possible"},
		} {
			if _, err := a.Track(c.user, c.device, presence.Meta{}); !errors.Is(err, presence.ErrInvalid) || err.Error() != c.text {
				t.Errorf("got %v, want %q", err, c.text)
			}
		}
		for _, cursor := range []string{"x", "1", "-1.", "1.%", "99999.YQ"} {
			if _, err := a.Page(cursor, 1); !errors.Is(err, presence.ErrCursor) && cursor != "1" {
				t.Errorf("cursor %q: %v", cursor, err)
			}
		}
		h := a.track(t, "u", "d")
		a.Close()
		a.Close()
		if _, err := a.Track("u", "d", presence.Meta{}); !errors.Is(err, presence.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := h.Update(presence.Meta{}); !errors.Is(err, presence.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		h.Lose()
	})
}

// A device that moves to another node, before its older connection is known to
// be dead, has that one told, and only that one.
func TestReplaced(t *testing.T) {
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			hub := memory.NewHub()
			ns := []*node{open(t, hub, "a"), open(t, hub, "b")}
			older, newer := ns[order[0]], ns[order[1]]
			wait(time.Second)
			h := older.track(t, "anna", "phone")
			wait(300 * time.Millisecond)
			newer.track(t, "anna", "phone")
			wait(time.Second)
			older.wants(t, "moved", "+anna", fmt.Sprintf("replaced anna/phone by %s", newer.bus.Self().Name))
			newer.wants(t, "moved", "+anna")
			if us, _ := newer.Get("anna"); us[0].Devices != 1 {
				t.Errorf("counted twice: %+v", us)
			}
			h.Lose()
			wait(20 * time.Second)
			older.wants(t, "let go")
			newer.wants(t, "let go")

			// On one node, and at once on both.
			first := newer.track(t, "bob", "phone")
			newer.track(t, "bob", "phone")
			first.Leave() // is held no more
			wait(time.Second)
			newer.wants(t, "the same node", "+bob", fmt.Sprintf("replaced bob/phone by %s", newer.bus.Self().Name))
			newer.track(t, "carol", "phone")
			older.track(t, "carol", "phone")
			wait(time.Second)
			told := slices.DeleteFunc(append(older.take(), newer.take()...), func(s string) bool { return !strings.HasPrefix(s, "replaced") })
			if len(told) != 1 {
				t.Errorf("two at once: %q", told)
			}
		})
	}
}
