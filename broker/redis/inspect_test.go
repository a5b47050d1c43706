package redis_test

import (
	"context"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/redis"
)

func examine(t *testing.T, url string) brokertest.Findings {
	t.Helper()
	d, err := redis.Open(t.Context(), redis.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return brokertest.Examine(t, d, "c")
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

	examine(t, s.url()).WantFine(t, 7)

	do(t, c, "CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "volatile-lru", "timeout", "2")
	found := examine(t, s.url())
	found.Want(t, "memory", broker.Doubtful, "maxmemory-policy to noeviction")
	found.Want(t, "timeout", broker.Doubtful, "set timeout to 0")
	do(t, c, "CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1")
	examine(t, s.url()).Want(t, "permissions", broker.Failed, "out of memory")
	do(t, c, "CONFIG", "SET", "maxmemory", "0")
	do(t, c, "REPLICAOF", "127.0.0.1", "1")
	found = examine(t, s.url())
	found.Want(t, "role", broker.Failed, "its primary, 127.0.0.1:1")
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
	as := func(name string, rules ...any) brokertest.Findings {
		t.Helper()
		do(t, c, append([]any{"ACL", "SETUSER", name, "reset", "on", ">secret"}, rules...)...)
		return examine(t, "redis://"+name+":secret@127.0.0.1:"+s.port)
	}
	documented := []any{"~c.*", "+ping", "+xadd", "+xread", "+xinfo|stream", "+expire"}
	found := as("full", documented...)
	found.Want(t, "permissions", broker.Fine, "c.*")
	found.Want(t, "settings", broker.Unknown, "+info")

	as("blind", append(documented, "-xinfo|stream")...).Want(t, "permissions", broker.Failed, "ACL SETUSER USER +xinfo|stream")
	as("mute", append(documented, "-xadd", "-xread", "+acl|whoami")...).Want(t, "permissions", broker.Failed, "ACL SETUSER mute +xadd +xread")
	as("elsewhere", append(documented, "resetkeys", "~d.*")...).Want(t, "permissions", broker.Failed, "ACL SETUSER USER ~c.*")
	as("hoarder", append(documented, "-expire", "+del")...).Want(t, "permissions", broker.Doubtful, "stay for ever")
	expiring(t, c)
}
