package redis_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
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

func TestMain(m *testing.M) {
	redis.LogTo(silent)
	brokertest.Main(m, openAt)
}

func openAt(ctx context.Context, addr, _ string) (broker.Driver, error) {
	return redis.Open(ctx, redis.Config{URL: "redis://" + addr, Logger: silent})
}

// What Redis has is lost when it is killed.
func TestFaults(t *testing.T) {
	s := newServer(t)
	s.start(t)
	brokertest.Faults(t, brokertest.Server{
		Name: "redis", Addr: "127.0.0.1:" + s.port, Start: s.start, Kill: s.kill, Open: openAt,
		Forget: func(t *testing.T, cluster string) {
			keys, err := s.client(t).Keys(t.Context(), cluster+".*").Result()
			if err != nil || len(keys) == 0 {
				t.Fatalf("got the streams %v, %v", keys, err)
			}
			if err := s.client(t).Del(t.Context(), keys...).Err(); err != nil {
				t.Fatal(err)
			}
		},
	})
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
