package console_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/cmd/carillon/internal/console"
	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/socketio"
)

var silent = slog.New(slog.DiscardHandler)

// A node is one of a cluster, whose Views are read without a client.
type node struct {
	*console.Console
	bus   *broker.Bus
	said  atomic.Int64 // on the console's channel, heard by this node
	close func()
}

// start starts a node in a bubble.
func start(t *testing.T, hub *memory.Hub, name string) *node {
	t.Helper()
	n := &node{}
	meter := new(console.Meter)
	bus, err := broker.Open(t.Context(), hub.Open, broker.Options{Node: name, Logger: silent, Hooks: meter.Broker(broker.Hooks{})})
	if err != nil {
		t.Fatal(err)
	}
	users := presence.New(bus, presence.Options{Logger: silent})
	io := socketio.New(socketio.Options{Logger: silent, Hooks: meter.Sockets(socketio.Hooks{})})
	n.bus = bus
	n.Console = console.New(bus, io, users, meter, console.Options{Version: "v1", Logger: silent})
	n.Overhear(func() { n.said.Add(1) })
	closed := false
	n.close = func() {
		if closed {
			return
		}
		closed = true
		n.Close()
		for _, err := range []error{io.Close(), users.Close(), bus.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(n.close)
	return n
}

// states returns what a node tells of all.
func (n *node) states() string {
	var all []string
	for _, row := range n.Latest().Nodes {
		told := "without stats"
		if row.Stats != nil {
			told = row.Stats.Version
		}
		all = append(all, fmt.Sprintf("%s %s %s", row.Name, row.State, told))
	}
	return strings.Join(all, ", ")
}

func (n *node) want(t *testing.T, when, states string) {
	t.Helper()
	if got := n.states(); got != states {
		t.Errorf("%s: got %q, want %q", when, got, states)
	}
}

// settle lets the nodes find each other, or hear of each other's end.
func settle() {
	time.Sleep(6 * time.Second) // of the bubble's
	synctest.Wait()
}

func second() {
	time.Sleep(time.Second)
	synctest.Wait()
}

func TestNothingIsSaidUnlessSomebodyWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		a, b, c := start(t, hub, "a"), start(t, hub, "b"), start(t, hub, "c")
		settle()
		said := func() int64 { return a.said.Load() + b.said.Load() + c.said.Load() }
		if n := said(); n != 0 {
			t.Errorf("%d reports while nobody watched", n)
		}
		a.Watch(1)
		synctest.Wait()
		second()
		a.want(t, "watched", "a up v1, b up v1, c up v1")
		before := said()
		for range 10 {
			second()
		}
		// Once a second a tells two, who each tell a, and not each other.
		if n := said() - before; n != 40 {
			t.Errorf("%d reports in ten seconds, want 40", n)
		}
		a.Watch(-1)
		synctest.Wait()
		before = said()
		for range 5 {
			second()
		}
		if n := said() - before; n != 0 {
			t.Errorf("%d reports after the last one had gone", n)
		}
		for _, n := range []*node{a, b, c} {
			if n.Running() {
				t.Errorf("%s still counts", n.bus.Self().Name)
			}
		}
	})
}

// A node that crashes cannot say that nobody watches it any more.
func TestWatchersExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		a, b := start(t, hub, "a"), start(t, hub, "b")
		settle()
		body, err := json.Marshal(map[string]any{"watching": true, "stats": console.Stats{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.bus.Broadcast(console.Channel, body); err != nil {
			t.Fatal(err)
		}
		second()
		if !b.Running() {
			t.Fatal("b does not report")
		}
		for range 4 {
			second()
		}
		if b.Running() {
			t.Error("b still reports, though nobody asked for four seconds")
		}
	})
}

func TestNodesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		a, b := start(t, hub, "a"), start(t, hub, "b")
		settle()
		b.close() // while nobody watches
		settle()
		a.Watch(1)
		second()
		a.want(t, "b gone", "a up v1, b down without stats")
		if for_ := a.Latest().Nodes[1].For; for_ < 5 || for_ > 8 {
			t.Errorf("down for %d s, want some 6", for_)
		}
		b = start(t, hub, "b")
		settle()
		a.want(t, "b back", "a up v1, b up v1")
		b.bus.Drain()
		second()
		second()
		a.want(t, "b draining", "a up v1, b draining v1")
		b.close()
		settle()
		a.want(t, "b left", "a up v1, b left without stats")
		time.Sleep(10 * time.Minute)
		second()
		a.want(t, "long after", "a up v1")
	})
}

// A node of a release without a console, or one that hangs, is a member that
// does not report.
func TestSilentNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		a, b := start(t, hub, "a"), start(t, hub, "b")
		settle()
		a.Watch(1)
		second()
		a.want(t, "both", "a up v1, b up v1")
		b.Close()
		for range 3 {
			second()
		}
		a.want(t, "at first", "a up v1, b up v1")
		settle()
		a.want(t, "later", "a up v1, b silent without stats")
	})
}

func TestGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		a, b := start(t, hub, "a"), start(t, hub, "b")
		settle()
		for _, body := range []string{"", "{", "null", "[]", `{"watching":1}`, `{"watching":true,"stats":{"version":"` + strings.Repeat("x", 5000) + `"}}`} {
			if err := a.bus.Broadcast(console.Channel, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if b.Running() {
			t.Error("b took it for a watcher")
		}
	})
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		a, b := start(t, hub, "a"), start(t, hub, "b")
		settle()
		b.Watch(1)
		for range 3 {
			second()
		}
		for range 5 {
			for range 50 {
				if err := a.bus.Broadcast("talk", []byte("hi")); err != nil {
					t.Fatal(err)
				}
			}
			second()
		}
		rows := b.Latest().Nodes
		out, in, lag := rows[0].Stats.Out, rows[1].Stats.In, rows[0].Lag
		// Beside them there are reports, and what presence says.
		if out < 50 || out > 55 || in < 50 || in > 55 {
			t.Errorf("%v messages a second out of a, %v into b, want little more than 50", out, in)
		}
		if lag == nil || lag.P99 > 1 { // the Bus tells times in milliseconds
			t.Errorf("got the lag %v of a, want less than 1 ms: no time passes in the hub", lag)
		}
	})
}

func TestMeterCallsOthers(t *testing.T) {
	var called []string
	call := func(name string) { called = append(called, name) }
	meter := new(console.Meter)
	h := meter.Broker(broker.Hooks{
		Published: func(int, int, time.Duration, error) { call("published") },
		Received:  func(int, int) { call("received") },
		Lag:       func(broker.Member, time.Duration) { call("lag") },
		Link:      func(broker.Link) { call("link") },
		Overflow:  func(string, int) { call("overflow") },
	})
	s := meter.Sockets(socketio.Hooks{
		Received:  func(string) { call("event received") },
		Sent:      func(string) { call("event sent") },
		Connected: func(string) { call("connected") },
	})
	h.Published(1, 1, 0, nil)
	h.Received(1, 1)
	h.Lag(broker.Member{}, 0)
	h.Link(broker.Link{})
	h.Overflow("", 0)
	s.Received("/")
	s.Sent("/")
	s.Connected("/")
	if got, want := strings.Join(called, ", "), "published, received, lag, link, overflow, event received, event sent, connected"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLagBuckets(t *testing.T) {
	last := -1
	for d := time.Duration(0); d < 20*time.Second; d += max(time.Microsecond, d/50) {
		i := console.Bucket(d)
		if i < last || i > last+1 {
			t.Fatalf("%v is in bucket %d, after %d", d, i, last)
		}
		last = i
		ms := float64(d.Microseconds()) / 1000
		if got := console.Middle(i); got < ms*.8-.001 || got > ms*1.2+.001 {
			t.Fatalf("%v is shown as %v ms", d, got)
		}
	}
	for _, d := range []time.Duration{-time.Second, time.Hour, 1 << 62} {
		if got := console.Middle(console.Bucket(d)); got < 0 || got > 65_000 {
			t.Errorf("%v is shown as %v ms", d, got)
		}
	}
}

func TestDiscreet(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"dial tcp 127.0.0.1:6379: connection refused", "dial tcp 127.0.0.1:6379: connection refused"},
		{`open redis://:s3cr/e@t@host:1/0: no`, `open redis://…@host:1/0: no`},
		{"open amqps://me:s3cret@host/: refused\nreally", "open amqps://…@host/: refused really"},
		{strings.Repeat("é", 300), strings.Repeat("é", 98) + "…"},
	} {
		if got := console.Discreet(c.text); got != c.want && !(len(c.text) > 300 && len(got) <= 200) {
			t.Errorf("%q is told as %q, want %q", c.text, got, c.want)
		}
	}
}
