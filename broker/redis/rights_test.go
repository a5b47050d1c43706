package redis_test

import (
	"strings"
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
	cfg, log := as(t, "-expire"), new(brokertest.Log)
	cfg.Logger = log.Logger()
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
	log := new(brokertest.Log)
	k := brokertest.NewTalk(t, openAll(t, cfg, 2), broker.Options{Logger: log.Logger()})
	k.Say(t, 100)
	k.Hear(t)
	set("-xadd")
	k.Say(t, 100)
	eventually(t, "the publisher tells", func() bool { return strings.Contains(log.String(), "grant +xadd ") })
	set("+xadd", "-xread")
	k.Say(t, 100)
	eventually(t, "the subscriber tells", func() bool { return strings.Contains(log.String(), "grant +xread ") })
	set("+xread")
	k.Hear(t)
	k.Await(t, broker.Up)
}

// openAll returns n drivers with cfg, which are closed after the test.
func openAll(t *testing.T, cfg redis.Config, n int) []broker.Driver {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = silent
	}
	var ds []broker.Driver
	for range n {
		d, err := redis.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		ds = append(ds, d)
	}
	return ds
}
