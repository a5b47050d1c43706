package limit_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/limit"
)

// counts is a hook, and what it was told.
type counts struct {
	mu  sync.Mutex
	all map[limit.Kind]int
}

func (c *counts) hooks() limit.Hooks {
	c.all = make(map[limit.Kind]int)
	return limit.Hooks{Refused: func(k limit.Kind) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all[k]++
	}}
}

// wantRefused fails unless err is by that limit, with that wait.
func wantRefused(t *testing.T, err error, kind limit.Kind, after time.Duration) {
	t.Helper()
	r, ok := errors.AsType[*limit.Refused](err)
	if !ok {
		t.Fatalf("got %v, want it refused by %s", err, kind)
	}
	if r.Kind != kind || (r.After-after).Abs() > time.Millisecond || r.Message == "" {
		t.Errorf("got %+v, want %s and %v", r, kind, after)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var a, b = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")

func TestConnections(t *testing.T) {
	var c counts
	l := limit.New(limit.Limits{Connections: 3, ConnectionsPerAddress: 2}, c.hooks())
	first := must(l.Admit(a))
	must(l.Admit(a))
	_, err := l.Admit(a)
	wantRefused(t, err, limit.ConnectionsPerAddress, 5*time.Second)
	must(l.Admit(b))
	_, err = l.Admit(b)
	wantRefused(t, err, limit.Connections, 5*time.Second)
	first()
	must(l.Admit(b))
	l.Reload(limit.Limits{Connections: 4})
	must(l.Admit(b))
	_, err = l.Admit(b)
	wantRefused(t, err, limit.Connections, 5*time.Second)
	if c.all[limit.Connections] != 2 || c.all[limit.ConnectionsPerAddress] != 1 {
		t.Errorf("the hook heard of %v", c.all)
	}
}

func TestHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Limits{
			Handshakes:           limit.Rate{PerSecond: 4, Burst: 5},
			HandshakesPerAddress: limit.Rate{PerSecond: 2},
		}, limit.Hooks{})
		must(l.Admit(a))
		must(l.Admit(a))
		for range 100 { // which takes nothing from b
			_, err := l.Admit(a)
			wantRefused(t, err, limit.HandshakesPerAddress, 500*time.Millisecond)
		}
		must(l.Admit(b))
		must(l.Admit(b))
		must(l.Admit(netip.MustParseAddr("192.0.2.3")))
		_, err := l.Admit(netip.MustParseAddr("192.0.2.4"))
		wantRefused(t, err, limit.Handshakes, 250*time.Millisecond)
		time.Sleep(500 * time.Millisecond)
		must(l.Admit(a))

		// Attempts to join are counted apart.
		for range 2 {
			must(0, l.Join(a))
		}
		wantRefused(t, l.Join(a), limit.HandshakesPerAddress, 500*time.Millisecond)
	})
}

// Who has an IPv6 address has 2⁶⁴ of them, and an IPv4 address is the same
// however it is written.
func TestAddresses(t *testing.T) {
	for _, pair := range [][2]string{
		{"2001:db8::1", "2001:db8::ffff:1"}, {"::ffff:192.0.2.1", "192.0.2.1"}, {"fe80::1%eth0", "fe80::2%eth1"},
	} {
		l := limit.New(limit.Limits{ConnectionsPerAddress: 1}, limit.Hooks{})
		must(l.Admit(netip.MustParseAddr(pair[0])))
		_, err := l.Admit(netip.MustParseAddr(pair[1]))
		wantRefused(t, err, limit.ConnectionsPerAddress, 5*time.Second)
		must(l.Admit(netip.MustParseAddr("2001:db8:0:1::1")))
		must(l.Admit(netip.Addr{})) // a connection of no address, as of a pipe
	}
}

// Addresses that have gone are forgotten, and those that have spent their
// tokens are not.
func TestForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Limits{HandshakesPerAddress: limit.Rate{PerSecond: 1, Burst: 60}}, limit.Hooks{})
		for i := range 1000 {
			must(l.Admit(netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", i/256, i%256))))()
		}
		for range 60 {
			must(l.Admit(a))()
		}
		time.Sleep(11 * time.Second)
		must(l.Admit(b))()
		if n := l.Addresses(); n != 2 {
			t.Errorf("%d addresses are kept, want 2", n)
		}
	})
}

func TestTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counts
		l := limit.New(limit.Limits{
			Socket: limit.Traffic{Messages: limit.Rate{PerSecond: 10, Burst: 2}, Bytes: limit.Rate{PerSecond: 100, Burst: 200}},
			User:   limit.Traffic{Messages: limit.Rate{PerSecond: 3}},
		}, c.hooks())
		one, two := must(l.Enter("alice")), must(l.Enter("alice"))
		bob := must(l.Enter("bob"))

		must(0, one.Take(150))
		wantRefused(t, one.Take(100), limit.SocketBytes, 500*time.Millisecond)
		must(0, two.Take(1))
		must(0, two.Take(1))
		wantRefused(t, two.Take(1), limit.SocketMessages, 100*time.Millisecond)
		time.Sleep(100 * time.Millisecond)
		wantRefused(t, two.Take(1), limit.UserMessages, 233*time.Millisecond)
		wantRefused(t, bob.Take(201), limit.SocketBytes, 0) // never
		must(0, bob.Take(200))                              // who has buckets of his own

		l.Reload(limit.Limits{})
		for range 100 {
			must(0, one.Take(1000))
		}
		l.Reload(limit.Limits{User: limit.Traffic{Bytes: limit.Rate{PerSecond: 1000}}})
		must(0, one.Take(1000))
		wantRefused(t, two.Take(500), limit.UserBytes, 500*time.Millisecond)
		for kind, want := range map[limit.Kind]int{
			limit.SocketBytes: 2, limit.SocketMessages: 1, limit.UserMessages: 1, limit.UserBytes: 1,
		} {
			if c.all[kind] != want {
				t.Errorf("the hook heard %d times of %s, want %d", c.all[kind], kind, want)
			}
		}
	})
}

func TestUsers(t *testing.T) {
	l := limit.New(limit.Limits{ConnectionsPerUser: 2}, limit.Hooks{})
	one := must(l.Enter("alice"))
	must(l.Enter("alice"))
	must(l.Enter("bob")).Release()
	_, err := l.Enter("alice")
	wantRefused(t, err, limit.ConnectionsPerUser, 5*time.Second)
	one.Release()
	must(l.Enter("alice"))
	if n := l.Users(); n != 1 {
		t.Errorf("%d users are kept, want 1", n)
	}
}

// However many come at a time, no more get in than may.
func TestTogether(t *testing.T) {
	l := limit.New(limit.Limits{Connections: 10, ConnectionsPerUser: 5}, limit.Hooks{})
	var admitted, entered atomic.Int32
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if _, err := l.Admit(netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i))); err == nil {
				admitted.Add(1)
			}
			if s, err := l.Enter("alice"); err == nil {
				entered.Add(1)
				_ = s.Take(1)
			}
		})
	}
	wg.Wait()
	if admitted.Load() != 10 || entered.Load() != 5 {
		t.Errorf("%d admitted, %d entered; want 10 and 5", admitted.Load(), entered.Load())
	}
}

// What people read tells the bound.
func TestMessages(t *testing.T) {
	l := limit.New(limit.Limits{Socket: limit.Traffic{Messages: limit.Rate{PerSecond: 7, Burst: 1}}}, limit.Hooks{})
	s := must(l.Enter("alice"))
	_ = s.Take(1)
	if err := s.Take(1); err == nil || !strings.Contains(err.Error(), "at most 7 a second") {
		t.Errorf("got %v", err)
	}
}
