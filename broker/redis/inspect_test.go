package redis_test

import (
	"context"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/redis"
)

// examine returns what is found, by check.
func examine(t *testing.T, url string) map[string]broker.Finding {
	t.Helper()
	d, err := redis.Open(t.Context(), redis.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	found := map[string]broker.Finding{}
	for _, f := range d.(broker.Inspector).Examine(t.Context(), "c") {
		if (f.Verdict == broker.Failed || f.Verdict == broker.Doubtful) && f.Advice == "" && !strings.Contains(f.Text, ":") {
			t.Errorf("%s: %q, without advice", f.Check, f.Text)
		}
		if _, twice := found[f.Check]; twice {
			t.Errorf("%s was found twice", f.Check)
		}
		found[f.Check] = f
	}
	return found
}

func hold(t *testing.T, found map[string]broker.Finding, check string, want broker.Verdict, words string) {
	t.Helper()
	f := found[check]
	if f.Verdict != want || !strings.Contains(f.Text+"; "+f.Advice, words) {
		t.Errorf("%s: got %v, %q, %q; want %v with %q", check, f.Verdict, f.Text, f.Advice, want, words)
	}
}

func do(t *testing.T, c *goredis.Client, args ...any) {
	t.Helper()
	if err := c.Do(context.Background(), args...).Err(); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
}

func TestExamine(t *testing.T) {
	s := newServer(t)
	s.start(t)
	c := s.client(t)

	for check, f := range examine(t, s.url()) {
		if f.Verdict != broker.Fine {
			t.Errorf("%s: got %v, %q, want a Redis as it comes to be fine", check, f.Verdict, f.Text)
		}
	}

	do(t, c, "CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "volatile-lru", "timeout", "2")
	found := examine(t, s.url())
	hold(t, found, "memory", broker.Doubtful, "maxmemory-policy to noeviction")
	hold(t, found, "timeout", broker.Doubtful, "set timeout to 0")
	do(t, c, "CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1")
	hold(t, examine(t, s.url()), "permissions", broker.Failed, "out of memory")
	do(t, c, "CONFIG", "SET", "maxmemory", "0")
	do(t, c, "REPLICAOF", "127.0.0.1", "1")
	found = examine(t, s.url())
	hold(t, found, "role", broker.Failed, "its primary, 127.0.0.1:1")
	do(t, c, "REPLICAOF", "NO", "ONE")

	expiring(t, c)
}

// expiring fails for keys that are left behind.
func expiring(t *testing.T, c *goredis.Client) {
	t.Helper()
	for _, key := range c.Keys(t.Context(), "*").Val() {
		if !strings.HasPrefix(key, "c.doctor.") || c.TTL(t.Context(), key).Val() <= 0 {
			t.Errorf("%s is left behind, want only what expires, under the name of the cluster", key)
		}
	}
}

func TestExamineRights(t *testing.T) {
	s := newServer(t)
	s.start(t)
	c := s.client(t)
	as := func(name string, rules ...any) map[string]broker.Finding {
		t.Helper()
		do(t, c, append([]any{"ACL", "SETUSER", name, "reset", "on", ">secret"}, rules...)...)
		return examine(t, "redis://"+name+":secret@127.0.0.1:"+s.port)
	}
	documented := []any{"~c.*", "+ping", "+xadd", "+xread", "+xinfo|stream", "+expire"}
	found := as("full", documented...)
	hold(t, found, "permissions", broker.Fine, "c.*")
	hold(t, found, "settings", broker.Unknown, "+info")

	hold(t, as("blind", append(documented, "-xinfo|stream")...), "permissions", broker.Failed, "ACL SETUSER USER +xinfo|stream")
	hold(t, as("mute", append(documented, "-xadd", "-xread", "+acl|whoami")...), "permissions", broker.Failed, "ACL SETUSER mute +xadd +xread")
	hold(t, as("elsewhere", append(documented, "resetkeys", "~d.*")...), "permissions", broker.Failed, "ACL SETUSER USER ~c.*")
	hold(t, as("hoarder", append(documented, "-expire", "+del")...), "permissions", broker.Doubtful, "stay for ever")
	expiring(t, c)
}
