package broker_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// greet has a node that speaks other versions say hello to x.
func greet(x *node, name string, oldest, latest uint8, caps broker.Capabilities) broker.NodeID {
	id := broker.NodeID{byte(latest), byte(oldest), 1}
	h := broker.NewHello(0, x.Self().ID, 0, 0, name).Speaking(oldest, latest, caps)
	x.Inject(true, broker.NewEnvelope(broker.NewHeader(id, 1, 1, 0), []broker.Hello{h}, nil, nil, nil).Encode("carillon"))
	return id
}

// Nodes of different versions speak the latest that both understand, and those
// that share none do not harm each other.
func TestVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dropped []broker.DropReason
		var logs logBuffer
		x := start(t, memory.NewHub(), "x", broker.Options{
			Logger: logTo(&logs), Capabilities: 1 << 40,
			Hooks: broker.Hooks{Dropped: func(r broker.DropReason, _ int) { dropped = append(dropped, r) }},
		})
		synctest.Wait()
		x.take()
		if m := x.Self(); m.Protocol != 1 || m.Caps != 1<<40|broker.CapAck {
			t.Errorf("got %+v", m)
		}
		greet(x, "later", 1, 9, 1<<33|1<<7)
		alien := greet(x, "too late", 2, 9, 0)
		synctest.Wait()
		equal(t, x.take(), "later up")
		if ms := x.Members(); len(ms) != 1 || ms[0].Protocol != 1 || ms[0].Caps != 1<<33|1<<7 {
			t.Errorf("got %+v", ms)
		}
		for pn := range uint64(3) {
			x.Inject(false, broker.NewEnvelope(broker.NewHeader(alien, pn+2, 1, 0), nil, nil, []broker.Msg{
				broker.NewMsg(0, pn+1, pn, 0, "a", nil, "?"),
			}, nil).Encode("carillon"))
		}
		synctest.Wait()
		equal(t, x.take())
		if len(dropped) != 4 || dropped[0] != broker.DropVersion {
			t.Errorf("got %v, want each envelope dropped for its version", dropped)
		}
		if s := logs.take(); strings.Count(s, "speaks no version") != 1 {
			t.Errorf("got logs %s", s)
		}
		time.Sleep(10 * time.Second) // both are silent
		equal(t, x.take(), "later down")
	})
}

// What a node does not understand is not said to it.
func TestCapabilities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		acks := 0
		spy := hub.Driver()
		if _, err := spy.Subscribe(t.Context(), "carillon.all", func(data []byte) {
			if e, err := broker.Decode("carillon", data); err != nil {
				t.Error(err)
			} else {
				acks += e.Acks()
			}
		}); err != nil {
			t.Fatal(err)
		}
		defer spy.Close()
		x := start(t, hub, "x", broker.Options{Heartbeat: 30 * time.Second})
		id := greet(x, "old", 1, 1, 0)
		time.Sleep(70 * time.Second)
		synctest.Wait()
		if acks > 0 {
			t.Errorf("%d acks were said to a node that does not know them", acks)
		}
		x.Inject(false, broker.NewEnvelope(broker.NewHeader(id, 9, 1, 0), nil, broker.NewBeat(0), nil, nil).Encode("carillon"))
		greet(x, "new", 1, 2, broker.CapAck)
		time.Sleep(70 * time.Second)
		synctest.Wait()
		if acks == 0 {
			t.Error("no acks were said to a node that knows them")
		}
	})
}

// Each node sees how far the others are behind it.
func TestBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last uint64
		told := 0
		hub := memory.NewHub()
		x := start(t, hub, "x", broker.Options{Hooks: broker.Hooks{Behind: func(to broker.Member, n uint64) {
			if to.Name != "y" {
				t.Errorf("got %v", to)
			}
			last = n
			told++
		}}})
		y := start(t, hub, "y", broker.Options{})
		time.Sleep(3 * time.Second)
		for range 100 {
			ok(t, x.Broadcast("a", nil))
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if told < 4 || last != 0 {
			t.Errorf("told %d times, the last time %d; want each beat, and 0", told, last)
		}
		y.faults.set(func(f *faults) { f.deaf = true })
		for range 40 {
			ok(t, x.Broadcast("a", nil))
		}
		for range 2 {
			ok(t, x.Send(y.Self().ID, "a", nil))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if last != 42 {
			t.Errorf("got %d behind, want 42", last)
		}
	})
}

func TestLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{})
		short := y.Self().ID.Short()
		if m, found := x.Lookup(short); !found || m != x.Members()[0] {
			t.Errorf("got %v, %v", m, found)
		}
		y.Close()
		synctest.Wait()
		if m, found := x.Lookup(short); found {
			t.Errorf("got %v, which is gone", m)
		}
	})
}
