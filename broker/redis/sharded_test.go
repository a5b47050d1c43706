package redis_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/redis"
)

// A sharded is a Redis Cluster of the test's own: three primaries, each with a
// replica.
type sharded struct {
	servers []*server // the primaries, then the replicas
}

const (
	primaries = 3
	slots     = 16384
)

// newSharded returns when the cluster serves all slots and every replica is in
// line. args are for all servers.
func newSharded(t *testing.T, args ...string) *sharded {
	t.Helper()
	c := new(sharded)
	var buses []int
	for range 2 * primaries {
		// The port of the bus between the nodes is by default too high for a
		// port that the kernel chose.
		bus := freePort(t)
		buses = append(buses, bus)
		s := newServer(t, append([]string{
			"--cluster-enabled", "yes", "--cluster-port", fmt.Sprint(bus),
			"--cluster-node-timeout", "1500", "--repl-diskless-sync-delay", "0",
		}, args...)...)
		s.start(t)
		c.servers = append(c.servers, s)
	}
	ids := make([]string, len(c.servers))
	for i, s := range c.servers {
		admin := s.client(t)
		ids[i] = admin.ClusterMyID(t.Context()).Val()
		check(t, admin.Do(t.Context(), "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		if i < primaries {
			check(t, admin.ClusterAddSlotsRange(t.Context(), i*slots/primaries, (i+1)*slots/primaries-1).Err())
		}
		if i > 0 {
			check(t, admin.Do(t.Context(), "CLUSTER", "MEET", "127.0.0.1", c.servers[0].port, buses[0]).Err())
		}
	}
	for i, s := range c.servers[primaries:] {
		admin := s.client(t)
		eventually(t, "the replica knows its primary", func() bool {
			return admin.Do(t.Context(), "CLUSTER", "REPLICATE", ids[i]).Err() == nil
		})
	}
	for i, s := range c.servers {
		admin := s.client(t)
		eventually(t, "the cluster is whole", func() bool {
			nodes := admin.ClusterNodes(t.Context()).Val()
			info := admin.ClusterInfo(t.Context()).Val()
			linked := i < primaries || strings.Contains(admin.Info(t.Context(), "replication").Val(), "master_link_status:up")
			return strings.Contains(info, "cluster_state:ok") && linked &&
				strings.Count(nodes, " connected") == 2*primaries && strings.Count(nodes, "slave ") == primaries
		})
	}
	return c
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c *sharded) config() redis.Config {
	cfg := redis.Config{URL: c.servers[0].url(), Mode: redis.Cluster, Logger: silent}
	for _, s := range c.servers[1:] {
		cfg.Addrs = append(cfg.Addrs, "127.0.0.1:"+s.port)
	}
	return cfg
}

// primary returns the server that has the slot of key.
func (c *sharded) primary(t *testing.T, key string) *server {
	t.Helper()
	var any *goredis.Client
	for _, s := range c.servers {
		if s.cmd != nil {
			any = s.client(t)
			break
		}
	}
	slot := any.ClusterKeySlot(t.Context(), key).Val()
	for _, shard := range any.ClusterShards(t.Context()).Val() {
		if !slices.ContainsFunc(shard.Slots, func(r goredis.SlotRange) bool { return r.Start <= slot && slot <= r.End }) {
			continue
		}
		for _, node := range shard.Nodes {
			for _, s := range c.servers {
				if node.Role == "master" && node.Health == "online" && fmt.Sprint(node.Port) == s.port {
					return s
				}
			}
		}
	}
	t.Fatalf("nobody has the slot of %s", key)
	return nil
}

// The contract holds over a Redis Cluster, though its topics are spread over
// three primaries.
func TestRedisCluster(t *testing.T) {
	c := newSharded(t)
	open := func(t *testing.T, n int) []broker.Driver { return openAll(t, c.config(), n) }
	t.Run("Contract", func(t *testing.T) { brokertest.Run(t, open) })
	t.Run("Bus", func(t *testing.T) { brokertest.RunBus(t, open) })
	t.Run("Permissions", c.testPermissions)
	t.Run("Examine", func(t *testing.T) { brokertest.Examine(t, openAll(t, c.config(), 1)[0], "test-c").WantFine(t, 7) })
	t.Run("Errors", c.testErrors)
	t.Run("Resharded", c.testResharded)
	t.Run("PrimaryLost", c.testPrimaryLost)
	t.Run("Frozen", func(t *testing.T) { testFrozen(t, c.config(), c.servers) })
}

// A user with what the documentation names has all it needs.
func (c *sharded) testPermissions(t *testing.T) {
	rights := []string{"reset", "on", ">pw", "~test-*", "+ping", "+xadd", "+xread", "+xinfo|stream", "+expire"}
	for user, more := range map[string]string{"full": "+cluster|slots", "blind": "-cluster"} {
		for _, s := range c.servers {
			check(t, s.client(t).ACLSetUser(t.Context(), user, append(rights, more)...).Err())
		}
	}
	as := func(user string) redis.Config {
		cfg := c.config()
		cfg.URL = strings.Replace(cfg.URL, "redis://", "redis://"+user+":pw@", 1)
		return cfg
	}
	roundTrip(t, openAll(t, as("full"), 1)[0])
	_, err := redis.Open(t.Context(), as("blind"))
	if err == nil || !strings.Contains(err.Error(), "grant +cluster|slots") {
		t.Errorf("got %v, want what to grant", err)
	}
}

func (c *sharded) testErrors(t *testing.T) {
	single := redis.Config{URL: c.servers[0].url(), Logger: silent}
	d := openAll(t, single, 1)[0]
	eventually(t, "a topic of another node", func() bool {
		err := d.Publish(t.Context(), brokertest.Prefix(), []byte("x"))
		return err != nil && strings.Contains(err.Error(), "set Mode to cluster")
	})
	s := newServer(t)
	s.start(t)
	_, err := redis.Open(t.Context(), redis.Config{URL: s.url(), Mode: redis.Cluster, Logger: silent})
	if err == nil || !strings.Contains(err.Error(), "set Mode to standalone") {
		t.Errorf("got %v, want that this is no cluster", err)
	}
}

// The slot of a topic goes from one primary to another.
func (c *sharded) testResharded(t *testing.T) {
	name := brokertest.Prefix()
	k := brokertest.NewTalk(t, openAll(t, c.config(), 2), broker.Options{Cluster: name})
	k.Say(t, 100)
	k.Hear(t)
	key := name + ".all"
	from := c.primary(t, key)
	to := c.servers[0]
	if to == from {
		to = c.servers[1]
	}
	slot := from.client(t).ClusterKeySlot(t.Context(), key).Val()
	id := func(s *server) string { return s.client(t).ClusterMyID(t.Context()).Val() }
	set := func(s *server, what, node string) {
		t.Helper()
		check(t, s.client(t).Do(t.Context(), "CLUSTER", "SETSLOT", slot, what, node).Err())
	}
	set(to, "IMPORTING", id(from))
	set(from, "MIGRATING", id(to))
	k.Say(t, 100)
	for _, key := range from.client(t).ClusterGetKeysInSlot(t.Context(), int(slot), 100).Val() {
		check(t, from.client(t).Do(t.Context(), "MIGRATE", "127.0.0.1", to.port, key, 0, 5000).Err())
	}
	k.Say(t, 100)
	set(to, "NODE", id(to))
	set(from, "NODE", id(to))
	k.Say(t, 100)
	k.Hear(t)
	k.Await(t, broker.Up)
}

// The primary of the topic of all is killed: what was said meanwhile arrives
// by its replica, once and in order, and nobody was declared down.
func (c *sharded) testPrimaryLost(t *testing.T) {
	name := brokertest.Prefix()
	k := brokertest.NewTalk(t, openAll(t, c.config(), 3), broker.Options{Cluster: name})
	k.Say(t, 100)
	k.Hear(t)
	lost := c.primary(t, name+".all")
	lost.kill()
	begin := time.Now()
	k.Say(t, 100)
	k.Await(t, broker.Down)
	k.Say(t, 100)
	k.Hear(t)
	t.Logf("all was there %v after the primary was lost", time.Since(begin))
	k.Say(t, 100)
	k.Hear(t)
	k.Await(t, broker.Up)
	if now := c.primary(t, name+".all"); now == lost {
		t.Error("the primary was not lost")
	}
	for range 20 { // one of those who are asked is away
		openAll(t, c.config(), 1)[0].Close()
	}
}

// roundTrip publishes and hears something.
func roundTrip(t *testing.T, d broker.Driver) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), brokertest.Patience)
	defer cancel()
	topic, c := brokertest.Prefix(), make(chan string, 1)
	if _, err := d.Subscribe(ctx, topic, func(b []byte) { c <- string(b) }); err != nil {
		t.Fatal(err)
	}
	if err := d.Publish(ctx, topic, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, c); got != "x" {
		t.Errorf("got %q", got)
	}
}
