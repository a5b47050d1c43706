package redis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/redis"
)

// Redis is out of memory for a while: what was said meanwhile arrives, once and
// in order.
func TestOutOfMemory(t *testing.T) {
	s := newServer(t, "--maxmemory-policy", "noeviction")
	s.start(t)
	log := new(brokertest.Log)
	k := brokertest.NewTalk(t, drivers(t, s, 2), broker.Options{Logger: log.Logger()})
	k.Say(t, 100)
	k.Hear(t)
	check(t, s.client(t).ConfigSet(t.Context(), "maxmemory", "1").Err())
	k.Say(t, 100)
	k.Await(t, broker.Down)
	eventually(t, "it is said why", func() bool { return strings.Contains(log.String(), "is out of memory: raise its maxmemory") })
	k.Say(t, 100)
	check(t, s.client(t).ConfigSet(t.Context(), "maxmemory", "0").Err())
	k.Hear(t)
	k.Await(t, broker.Up)
}

// The streams are deleted underneath, again and again, while nodes talk: the
// Bus repairs what went with them.
func TestStreamDeleted(t *testing.T) {
	s := newServer(t)
	s.start(t)
	admin := s.client(t)
	name := brokertest.Prefix()
	k := brokertest.NewTalk(t, drivers(t, s, 2), broker.Options{Cluster: name})
	for range 20 {
		k.Say(t, 50)
		keys := admin.Keys(t.Context(), name+".*").Val()
		if len(keys) > 0 {
			check(t, admin.Del(t.Context(), keys...).Err())
		}
		k.Say(t, 50)
	}
	k.Hear(t)
	k.Await(t, broker.Up)
}

// Each failure is told with the role, its number and the reason, until Redis
// is back; the nodes are degraded after as many as the policy says.
func TestLinksTold(t *testing.T) {
	s := newServer(t)
	s.start(t)
	retry := broker.Retry{Base: 5 * time.Millisecond, Max: 20 * time.Millisecond, Retries: 3}
	d := openAll(t, redis.Config{URL: s.url(), Retry: retry}, 1)[0]
	links, topic := make(chan broker.Link, 10000), brokertest.Prefix()
	d.(broker.Linked).OnLink(func(l broker.Link) { links <- l })
	if _, err := d.Subscribe(t.Context(), topic, func([]byte) {}); err != nil {
		t.Fatal(err)
	}
	x := brokertest.Cluster(t, openAll(t, redis.Config{URL: s.url(), Retry: retry}, 1), broker.Options{Retry: retry})[0]

	s.kill()
	tries := map[string]int{}
	for tries["publisher"] < 10 || tries["subscriber"] < 10 {
		if err := d.Publish(t.Context(), topic, []byte("x")); err == nil {
			t.Fatal("published without a Redis")
		}
		select {
		case l := <-links:
			if tries[l.Role]++; l.Up || l.Attempt != tries[l.Role] || l.Err == nil {
				t.Fatalf("got %+v, want attempt %d and why", l, tries[l.Role])
			}
			if text := l.Err.Error(); tries[l.Role] > 1 && !strings.Contains(text, "start Redis there") {
				t.Errorf("got %v, want what to do", text)
			}
		case <-time.After(brokertest.Patience):
			t.Fatal("nobody tells of the outage")
		}
	}
	brokertest.AwaitState(t, broker.Degraded, x)
	s.start(t)
	eventually(t, "Redis is back", func() bool { return d.Publish(t.Context(), topic, []byte("x")) == nil })
	up := map[string]bool{}
	for !up["publisher"] || !up["subscriber"] {
		select {
		case l := <-links:
			up[l.Role] = l.Up
		case <-time.After(brokertest.Patience):
			t.Fatalf("got only %v up", up)
		}
	}
	brokertest.AwaitState(t, broker.Up, x)
}

// What no try would mend is refused before one is made.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		cfg  redis.Config
		want string
	}{
		{redis.Config{Mode: "flock"}, `Mode is "flock", possible are standalone, cluster and sentinel`},
		{redis.Config{Addrs: []string{"b:1"}}, "Addrs are for the modes cluster and sentinel"},
		{redis.Config{Mode: redis.Cluster, Addrs: []string{"b"}}, `"b" in Addrs is not of the form host:port`},
		{redis.Config{Mode: redis.Cluster, URL: "redis://h/1"}, "a Redis Cluster has no other than 0"},
		{redis.Config{Mode: redis.Sentinel}, "Master is missing"},
	} {
		if c.cfg.URL == "" {
			c.cfg.URL = "redis://localhost"
		}
		d, err := redis.Open(t.Context(), c.cfg)
		if err == nil {
			d.Close()
		}
		if got := fmt.Sprint(err); !strings.Contains(got, c.want) {
			t.Errorf("got %v, want %q in it", got, c.want)
		}
	}
}
