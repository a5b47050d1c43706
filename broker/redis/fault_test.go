package redis_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/redis"
)

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

func drivers(t *testing.T, s *server, n int) []broker.Driver {
	t.Helper()
	var ds []broker.Driver
	for range n {
		d, err := redis.Open(t.Context(), redis.Config{URL: s.url(), Logger: silent})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		ds = append(ds, d)
	}
	return ds
}

// watched are two nodes of one cluster, of which the second tells what it hears.
func watched(t *testing.T, s *server) (x, y *broker.Bus, heard <-chan string) {
	nodes := brokertest.Cluster(t, drivers(t, s, 2), broker.Options{})
	c := make(chan string, 10000)
	var over atomic.Bool
	for _, b := range nodes {
		b.Watch(func(ev broker.Event) {
			if over.Load() {
				return // the nodes go, one after the other
			}
			if ev.Kind == broker.Gap || ev.Kind == broker.NodeDown {
				t.Errorf("%s: %v of %s", b.Self().Name, ev.Kind, ev.Node.Name)
			}
		})
	}
	nodes[1].Handle("x", func(m broker.Message) { c <- string(m.Body) })
	t.Cleanup(func() { over.Store(true) })
	return nodes[0], nodes[1], c
}

// say sends numbers from a on, some to all and some to y, until stop says so.
func say(t *testing.T, x, y *broker.Bus, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		var err error
		if i%3 == 0 {
			err = x.Send(y.Self().ID, "x", fmt.Append(nil, i))
		} else {
			err = x.Broadcast("x", fmt.Append(nil, i))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func expect(t *testing.T, heard <-chan string, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		select {
		case s := <-heard:
			if s != fmt.Sprint(i) {
				t.Fatalf("got %s, want %d", s, i)
			}
		case <-time.After(brokertest.Patience):
			t.Fatalf("message %d never came", i)
		}
	}
}

// Redis is killed and comes back empty: what was said meanwhile arrives, once
// and in order, and nobody was declared down.
func TestRestart(t *testing.T) {
	s := newServer(t)
	s.start(t)
	x, y, heard := watched(t, s)
	say(t, x, y, 0, 100)
	expect(t, heard, 0, 100)
	for round := 1; round <= 2; round++ {
		s.kill()
		base := round * 1000
		say(t, x, y, base, base+100)
		for _, b := range []*broker.Bus{x, y} {
			eventually(t, "the outage is noticed", func() bool { return b.State() == broker.Down })
		}
		say(t, x, y, base+100, base+200)
		s.start(t)
		say(t, x, y, base+200, base+300)
		expect(t, heard, base, base+300)
		for _, b := range []*broker.Bus{x, y} {
			eventually(t, "the end of the outage is noticed", func() bool { return b.State() == broker.Up })
		}
	}
}

// Redis stops answering, but its connections stand.
func TestHang(t *testing.T) {
	s := newServer(t)
	s.start(t)
	x, y, heard := watched(t, s)
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	say(t, x, y, 0, 100)
	eventually(t, "the outage is noticed", func() bool { return x.State() == broker.Down })
	if err := s.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	expect(t, heard, 0, 100)
	for _, b := range []*broker.Bus{x, y} {
		eventually(t, "the end of the outage is noticed", func() bool { return b.State() == broker.Up })
	}
}

func TestRedisAppearsLate(t *testing.T) {
	s := newServer(t)
	var nodes []*broker.Bus
	cluster := brokertest.Prefix()
	for i := range 2 {
		b, err := broker.Open(t.Context(), func(ctx context.Context) (broker.Driver, error) {
			return redis.Open(ctx, redis.Config{URL: s.url(), Logger: silent})
		}, broker.Options{Node: fmt.Sprint(i), Cluster: cluster, Logger: silent, Retry: broker.Retry{Max: 200 * time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		nodes = append(nodes, b)
		if s := b.State(); s != broker.Connecting {
			t.Errorf("got state %v, want connecting", s)
		}
	}
	s.start(t)
	for _, b := range nodes {
		brokertest.AwaitMembers(t, b, 1)
	}
}

// The stream comes back with smaller IDs, as when the clock went back.
func TestClockWentBack(t *testing.T) {
	s := newServer(t)
	s.start(t)
	d := drivers(t, s, 1)[0]
	topic := brokertest.Prefix()
	c := make(chan string, 10)
	if _, err := d.Subscribe(t.Context(), topic, func(b []byte) { c <- string(b) }); err != nil {
		t.Fatal(err)
	}
	if err := d.Publish(t.Context(), topic, []byte("now")); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, c); got != "now" {
		t.Fatalf("got %q", got)
	}
	s.kill()
	s.start(t)
	if err := s.client(t).Do(t.Context(), "XADD", topic, "5-1", "e", "long ago").Err(); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, c); got != "long ago" {
		t.Errorf("got %q", got)
	}
}

func wait(t *testing.T, c <-chan string) string {
	t.Helper()
	select {
	case s := <-c:
		return s
	case <-time.After(brokertest.Patience):
		t.Fatal("nothing came")
		return ""
	}
}

func TestForeignEntries(t *testing.T) {
	s := newServer(t)
	s.start(t)
	var foreign atomic.Int32
	topic := brokertest.Prefix()
	d, err := redis.Open(t.Context(), redis.Config{URL: s.url(), Logger: silent, Hooks: redis.Hooks{Foreign: func(got string) {
		if got != topic {
			t.Errorf("got topic %q", got)
		}
		foreign.Add(1)
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	c := make(chan string, 10)
	if _, err := d.Subscribe(t.Context(), topic, func(b []byte) { c <- string(b) }); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.client(t).Do(t.Context(), "XADD", topic, "*", "name", "value").Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Publish(t.Context(), topic, []byte("ours")); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, c); got != "ours" {
		t.Errorf("got %q", got)
	}
	if n := foreign.Load(); n != 3 {
		t.Errorf("%d foreign entries were counted, want 3", n)
	}
}

// A stream must not outlive its use, nor a subscription its close.
func TestNothingStays(t *testing.T) {
	s := newServer(t)
	s.start(t)
	admin := s.client(t)
	clients := func() int {
		list, err := admin.ClientList(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(list, "\n")
	}
	before := clients()
	d := drivers(t, s, 1)[0]
	topic, other := brokertest.Prefix(), brokertest.Prefix()
	sub, err := d.Subscribe(t.Context(), topic, func([]byte) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{topic, other} {
		if err := d.Publish(t.Context(), to, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if ttl := admin.TTL(t.Context(), to).Val(); ttl <= 0 || ttl > 10*time.Minute {
			t.Errorf("the stream expires in %v", ttl)
		}
	}
	begin := time.Now()
	if err := sub.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 500*time.Millisecond {
		t.Errorf("a subscription took %v to close", took)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "all connections are closed", func() bool { return clients() == before })
	if got := stacks(); got != "" {
		t.Errorf("goroutines are left:\n%s", got)
	}
}

func TestMaxLen(t *testing.T) {
	s := newServer(t)
	s.start(t)
	d, err := redis.Open(t.Context(), redis.Config{URL: s.url(), MaxLen: 100, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	topic := brokertest.Prefix()
	for range 1000 {
		if err := d.Publish(t.Context(), topic, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.client(t).XLen(t.Context(), topic).Val(); n < 100 || n > 300 {
		t.Errorf("the stream has %d entries, want about 100", n)
	}
}
