package redis_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/redis"
)

// A watch is three Sentinels of the test's own, and what they watch: a primary
// with two replicas. All want a password, and not the same.
type watch struct {
	servers   []*server // the primary first, as it was at the beginning
	watchers  []*server // the Sentinels
	sentinels []string  // host:port of them
}

const (
	master         = "bells"
	serverPassword = "correct-horse"
	watchPassword  = "grey-mare"
)

// newWatch returns when the Sentinels know the replicas and each other.
func newWatch(t *testing.T) *watch {
	t.Helper()
	w := new(watch)
	for i := range 3 {
		args := []string{"--requirepass", serverPassword, "--masterauth", serverPassword, "--repl-diskless-sync-delay", "0"}
		if i > 0 {
			args = append(args, "--replicaof", "127.0.0.1 "+w.servers[0].port)
		}
		s := newServer(t, args...)
		s.start(t)
		w.servers = append(w.servers, s)
	}
	for range 3 {
		w.add(t)
	}
	for _, addr := range w.sentinels {
		c := goredis.NewSentinelClient(&goredis.Options{Addr: addr, Password: watchPassword, MaxRetries: -1})
		t.Cleanup(func() { c.Close() })
		eventually(t, "the Sentinel knows all", func() bool {
			state, err := c.Master(t.Context(), master).Result()
			if err != nil || state["num-slaves"] != "2" || state["num-other-sentinels"] != "2" {
				return false
			}
			replicas, err := c.Replicas(t.Context(), master).Result()
			for _, r := range replicas {
				if r["master-link-status"] != "ok" {
					return false
				}
			}
			return err == nil
		})
	}
	return w
}

// add starts a Sentinel.
func (w *watch) add(t *testing.T) {
	t.Helper()
	port, dir := fmt.Sprint(freePort(t)), t.TempDir()
	conf := filepath.Join(dir, "sentinel.conf")
	check(t, os.WriteFile(conf, []byte(strings.Join([]string{
		"port " + port, "bind 127.0.0.1", "dir " + dir, "requirepass " + watchPassword,
		"sentinel monitor " + master + " 127.0.0.1 " + w.servers[0].port + " 2",
		"sentinel auth-pass " + master + " " + serverPassword,
		"sentinel sentinel-pass " + watchPassword,
		"sentinel down-after-milliseconds " + master + " 1000",
		"sentinel failover-timeout " + master + " 5000", "",
	}, "\n")), 0o600))
	cmd := exec.Command("redis-server", conf, "--sentinel")
	cmd.Dir = dir
	check(t, cmd.Start())
	s := &server{port: port, cmd: cmd}
	t.Cleanup(s.kill)
	w.watchers = append(w.watchers, s)
	w.sentinels = append(w.sentinels, "127.0.0.1:"+port)
}

func (w *watch) config() redis.Config {
	return redis.Config{
		URL: "redis://:" + serverPassword + "@" + w.sentinels[0], Addrs: w.sentinels[1:],
		Mode: redis.Sentinel, Master: master, SentinelPassword: watchPassword, Logger: silent,
	}
}

// primary is who the Sentinels say it is.
func (w *watch) primary(t *testing.T) *server {
	t.Helper()
	c := goredis.NewSentinelClient(&goredis.Options{Addr: w.sentinels[0], Password: watchPassword, MaxRetries: -1})
	defer c.Close()
	addr, err := c.GetMasterAddrByName(t.Context(), master).Result()
	check(t, err)
	for _, s := range w.servers {
		if s.port == addr[1] {
			return s
		}
	}
	t.Fatalf("%v is the primary, which nobody has started", addr)
	return nil
}

func TestSentinel(t *testing.T) {
	w := newWatch(t)
	open := func(t *testing.T, n int) []broker.Driver { return openAll(t, w.config(), n) }
	t.Run("Contract", func(t *testing.T) { brokertest.Run(t, open) })
	t.Run("Bus", func(t *testing.T) { brokertest.RunBus(t, open) })
	t.Run("Examine", func(t *testing.T) { brokertest.Examine(t, openAll(t, w.config(), 1)[0], "test-c").WantFine(t, 7) })
	t.Run("Errors", w.testErrors)
	t.Run("Failover", w.testFailover)
	t.Run("Frozen", func(t *testing.T) { testFrozen(t, w.config(), append(w.servers, w.watchers...)) })
}

func (w *watch) testErrors(t *testing.T) {
	for _, c := range []struct {
		change func(*redis.Config)
		want   string
	}{
		{func(c *redis.Config) { c.Master = "gongs" }, "does not know a primary of that name: correct Master"},
		{func(c *redis.Config) { c.SentinelPassword = "" }, "set SentinelPassword"},
		{func(c *redis.Config) { c.SentinelPassword = "battery-staple" }, "correct SentinelUser and SentinelPassword"},
		{func(c *redis.Config) { c.Password = "battery-staple" }, "correct the URL, or Password"},
		{func(c *redis.Config) { c.URL = "redis://" + w.sentinels[0] }, "wants a password"},
		{func(c *redis.Config) {
			c.URL, c.Addrs, c.SentinelPassword = "redis://127.0.0.1:"+w.servers[0].port, nil, serverPassword
		}, "is no Sentinel"},
		{func(c *redis.Config) { c.URL, c.Addrs = fmt.Sprint("redis://127.0.0.1:", freePort(t)), nil }, "start one there"},
	} {
		cfg := w.config()
		c.change(&cfg)
		d, err := redis.Open(t.Context(), cfg)
		if err == nil {
			d.Close()
			t.Errorf("opened, want an error with %q", c.want)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q in it", err, c.want)
		}
		for _, secret := range []string{"battery-staple", serverPassword, watchPassword} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows a password: %v", err)
			}
		}
	}
	// A user of the Sentinels with what the documentation names, and with less.
	rights := []any{"reset", "on", ">pw", "&*", "+ping", "+subscribe", "+sentinel|get-master-addr-by-name", "+sentinel|sentinels"}
	for user, more := range map[string][]any{"watcher": nil, "blind": {"-sentinel"}} {
		for _, addr := range w.sentinels {
			c := goredis.NewClient(&goredis.Options{Addr: addr, Password: watchPassword})
			check(t, c.Do(t.Context(), append(append([]any{"ACL", "SETUSER", user}, rights...), more...)...).Err())
			c.Close()
		}
	}
	cfg := w.config()
	cfg.SentinelUser, cfg.SentinelPassword = "watcher", "pw"
	roundTrip(t, openAll(t, cfg, 1)[0])
	cfg.SentinelUser = "blind"
	if _, err := redis.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "grant +sentinel|get-master-addr-by-name") {
		t.Errorf("got %v, want what to grant", err)
	}

	// Who takes a Sentinel for a Redis is told so.
	d := openAll(t, redis.Config{URL: "redis://:" + watchPassword + "@" + w.sentinels[0]}, 1)[0]
	if _, err := d.Subscribe(t.Context(), "t", func([]byte) {}); err == nil || !strings.Contains(err.Error(), "set Mode to sentinel") {
		t.Errorf("got %v, want that this is a Sentinel", err)
	}
}

// The primary hands over, and then its successor is killed, together with a
// Sentinel: what was said meanwhile arrives, once and in order, and nobody was
// declared down.
func (w *watch) testFailover(t *testing.T) {
	k := brokertest.NewTalk(t, openAll(t, w.config(), 3), broker.Options{})
	k.Say(t, 100)
	k.Hear(t)

	first := w.primary(t)
	c := goredis.NewSentinelClient(&goredis.Options{Addr: w.sentinels[0], Password: watchPassword, MaxRetries: -1})
	defer c.Close()
	check(t, c.Failover(t.Context(), master).Err())
	eventually(t, "another is the primary", func() bool {
		k.Say(t, 1)
		return w.primary(t) != first
	})
	k.Say(t, 100)
	k.Hear(t)
	k.Await(t, broker.Up)

	eventually(t, "the replicas follow the new primary", func() bool {
		replicas, err := c.Replicas(t.Context(), master).Result()
		for _, r := range replicas {
			if r["master-link-status"] != "ok" || r["master-port"] != w.primary(t).port {
				return false
			}
		}
		return err == nil && len(replicas) == 2
	})
	second := w.primary(t)
	w.watchers[2].kill() // two are enough, but for who asks this one
	second.kill()
	begin := time.Now()
	k.Say(t, 100)
	k.Await(t, broker.Down)
	k.Say(t, 100)
	k.Hear(t)
	t.Logf("all was there %v after the primary was lost", time.Since(begin))
	k.Say(t, 100)
	k.Hear(t)
	k.Await(t, broker.Up)
	if w.primary(t) == second {
		t.Error("the primary was not lost")
	}
}
