package redis_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/redis"
)

// A user who lacks one right is told which.
func TestMissingRight(t *testing.T) {
	s := newServer(t)
	s.start(t)
	as := func(t *testing.T, rules ...string) redis.Config {
		t.Helper()
		check(t, s.client(t).ACLSetUser(t.Context(), "ringer", append([]string{
			"reset", "on", ">pw", "~test-*", "+ping", "+xadd", "+xread", "+xinfo|stream", "+expire",
		}, rules...)...).Err())
		return redis.Config{URL: "redis://ringer@127.0.0.1:" + s.port, Password: "pw", Logger: silent}
	}
	subscribe := func(d broker.Driver) error {
		_, err := d.Subscribe(t.Context(), brokertest.Prefix(), func([]byte) {})
		return err
	}
	publish := func(d broker.Driver) error {
		return d.Publish(t.Context(), brokertest.Prefix(), []byte("x"))
	}
	for _, c := range []struct {
		rule string
		try  func(broker.Driver) error
		want string
	}{
		{"-xadd", publish, "grant +xadd "},
		{"-xread", subscribe, "grant +xread "},
		{"-xinfo", subscribe, "grant +xinfo|stream "},
		{"resetkeys", publish, "grant ~NAME.* for the NAME of the cluster"},
		{"resetkeys", subscribe, "grant ~NAME.* for the NAME of the cluster"},
	} {
		d := openAll(t, as(t, c.rule), 1)[0]
		if err := c.try(d); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", c.rule, err, c.want)
		}
	}
	roundTrip(t, openAll(t, as(t, "-ping"), 1)[0]) // which nobody needs

	// Without +expire all works, but the streams stay. Somebody has to know.
	cfg, log := as(t, "-expire"), new(logged)
	cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	roundTrip(t, openAll(t, cfg, 1)[0])
	if got := log.String(); strings.Count(got, "grant +expire ") != 1 {
		t.Errorf("got %q, want one word of what to grant", got)
	}
}

// A right that is taken away and given again: it is told, and mended.
func TestRightRevoked(t *testing.T) {
	s := newServer(t)
	s.start(t)
	admin := s.client(t)
	set := func(rules ...string) {
		t.Helper()
		check(t, admin.ACLSetUser(t.Context(), "ringer", rules...).Err())
	}
	set("on", ">pw", "~*", "+@all")
	cfg := redis.Config{URL: "redis://ringer:pw@127.0.0.1:" + s.port, Logger: silent}
	log := new(logged)
	x, y, heard := joined(t, openAll(t, cfg, 2), broker.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	say(t, x, y, 0, 100)
	expect(t, heard, 0, 100)
	set("-xadd")
	say(t, x, y, 100, 200)
	eventually(t, "the publisher tells", func() bool { return strings.Contains(log.String(), "grant +xadd ") })
	set("+xadd", "-xread")
	say(t, x, y, 200, 300)
	eventually(t, "the subscriber tells", func() bool { return strings.Contains(log.String(), "grant +xread ") })
	set("+xread")
	expect(t, heard, 100, 300)
	for _, b := range []*broker.Bus{x, y} {
		eventually(t, "all is well", func() bool { return b.State() == broker.Up })
	}
}

// logged is a log that several goroutines write.
type logged struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
