package main_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// overBrokers calls f with the environment of instances that are joined by each
// broker, for all of them at a time: f waits for graces, most of the time.
func overBrokers(t *testing.T, f func(t *testing.T, environ []string)) {
	run := func(name string, environ func(t *testing.T) []string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, append(environ(t), "CARILLON_BROKER__DRIVER="+name))
		})
	}
	run("redis", func(t *testing.T) []string { return []string{"REDIS_URL=" + testRedis(t)} })
	run("rabbitmq", func(t *testing.T) []string {
		return []string{"RABBITMQ_URL=" + brokertest.Env(t, "CARILLON_TEST_RABBITMQ")}
	})
	run("kafka", func(t *testing.T) []string {
		return []string{
			"KAFKA_BROKERS=" + brokertest.Env(t, "CARILLON_TEST_KAFKA"),
			"CARILLON_BROKER__KAFKA__TOPIC=carillon-e2e", "CARILLON_BROKER__KAFKA__RETENTION=1m",
		}
	})
}

// startThree starts three instances of a cluster of their own.
func startThree(t *testing.T, environ []string) [3]*instance {
	t.Helper()
	environ = append(slices.Clip(environ), "CARILLON_BROKER__CLUSTER=e2e-"+strings.ToLower(rand.Text()))
	var is [3]*instance
	for i, node := range []string{"node-a", "node-b", "node-c"} {
		is[i] = startInstance(t, node, environ...)
	}
	return is
}

// TestPresence kills, freezes and restarts instances of three under their
// users, over each broker.
func TestPresence(t *testing.T) {
	t.Parallel()
	overBrokers(t, func(t *testing.T, environ []string) {
		can := asks{}
		args := make([]string, 0, 4)
		if strings.HasPrefix(environ[0], "REDIS_URL=") { // of the test's own, to be restarted
			r := newRedis(t)
			environ[0] = "REDIS_URL=" + r.url()
			can["restart broker"] = func(t *testing.T) { r.kill(t); r.start(t) }
		}
		for i, instance := range startThree(t, environ) {
			name := string(rune('a' + i))
			can["stop "+name], can["kill "+name], can["start "+name] = instance.stop, instance.kill, instance.start
			can["freeze "+name], can["thaw "+name] = instance.freeze, instance.thaw
			args = append(args, instance.url())
		}
		if can["restart broker"] != nil {
			args = append(args, "broker")
		}
		runScript(t, can, "presence.mjs", args...)
	})
}

// TestPresenceWhileBrokerRestarts empties RabbitMQ and Kafka under three
// instances. Their own processes are as .ci/brokers starts them.
func TestPresenceWhileBrokerRestarts(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"rabbitmq", "kafka"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			brokertest.Env(t, "CARILLON_TEST_"+strings.ToUpper(name)) // so that it is skipped where the broker is not wanted
			b := &ownBroker{name: name, dir: filepath.Join(t.TempDir(), "brokers")}
			addr := b.start(t)
			t.Cleanup(func() { b.stop(t) })
			environ := []string{"CARILLON_BROKER__DRIVER=" + name, "RABBITMQ_URL=" + addr}
			if name == "kafka" {
				environ[1] = "KAFKA_BROKERS=" + addr
			}
			args := []string{}
			for _, instance := range startThree(t, environ) {
				args = append(args, instance.url())
			}
			runScript(t, asks{"restart broker": func(t *testing.T) {
				b.stop(t)
				if again := b.start(t); again != addr {
					t.Fatalf("the broker is at %s now, was at %s", again, addr)
				}
			}}, "presence_broker.mjs", args...)
		})
	}
}

// An ownBroker is one that .ci/brokers starts for a test alone.
type ownBroker struct{ name, dir string }

func (b *ownBroker) run(t *testing.T, action string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join("..", "..", ".ci", "brokers"), action, b.name)
	cmd.Env = append(os.Environ(), "CARILLON_BROKERS_DIR="+b.dir)
	cmd.WaitDelay = time.Second // what it starts keeps its output open
	out, err := cmd.Output()
	if err != nil && !strings.Contains(err.Error(), "WaitDelay") {
		t.Fatalf(".ci/brokers %s %s: %v", action, b.name, err)
	}
	return string(out)
}

func (b *ownBroker) start(t *testing.T) (addr string) {
	t.Helper()
	out := b.run(t, "start")
	_, addr, ok := strings.Cut(strings.TrimSpace(out), "=")
	if !ok {
		t.Fatalf(".ci/brokers printed %q", out)
	}
	return addr
}

func (b *ownBroker) stop(t *testing.T) { b.run(t, "stop") }

// TestManyUsers connects users to three instances, two hundred a second.
//
// In the mode all every client learns of all others, by what it asked for when
// it connected and by what it was told since: for a thousand users that would be
// half a million frames. In the mode watch thirty clients watch a thousand.
func TestManyUsers(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand connections")
	}
	for _, c := range []struct {
		mode  string
		users int
	}{{"all", 300}, {"watch", 1000}} {
		t.Run(c.mode, func(t *testing.T) { connectMany(t, c.mode, c.users) })
	}
}

func connectMany(t *testing.T, mode string, users int) {
	const (
		rate     = 200
		watchers = 30
		patience = 5 * time.Minute
	)
	instances := startThree(t, []string{"CARILLON_BROKER__DRIVER=redis", "REDIS_URL=" + testRedis(t), "CARILLON_PRESENCE__MODE=" + mode})

	var mu sync.Mutex                       // guards the next three
	sent := make([]time.Time, users)        // when a user's CONNECT was sent
	told := make([]time.Duration, users)    // until the last watcher heard of it
	heard := make([][]bool, watchers)       // by each watcher
	var listening, connected sync.WaitGroup // goroutines that read
	for w := range watchers {
		c := socketiotest.Dial(t, instances[w%3].url()).Patient(patience)
		c.Join(fmt.Sprintf(`{"user":"watcher-%d"}`, w))
		if mode == "watch" {
			ids := make([]string, users)
			for n := range ids {
				ids[n] = fmt.Sprintf("%q", fmt.Sprint("user-", n))
			}
			c.Send(`420["presence:watch",[` + strings.Join(ids, ",") + `]]`)
			for !strings.HasPrefix(c.Read(), `430[{"ok":true`) {
				continue // the session, and the state
			}
		}
		heard[w] = make([]bool, users)
		listening.Go(func() { // ends when it has heard of everyone
			for left := users; left > 0; {
				n, ok := userCame(c.Read())
				if !ok || n >= users {
					continue
				}
				mu.Lock()
				if heard[w][n] {
					t.Errorf("watcher %d heard twice of user %d", w, n)
				} else {
					heard[w][n] = true
					left--
					told[n] = max(told[n], time.Since(sent[n]))
				}
				mu.Unlock()
			}
		})
	}

	start := time.Now()
	for n := range users {
		time.Sleep(time.Until(start.Add(time.Duration(n) * time.Second / rate)))
		connected.Go(func() { // ends when the user knows what it is to know
			c := socketiotest.Dial(t, instances[n%3].url()).Patient(patience)
			mu.Lock()
			sent[n] = time.Now()
			mu.Unlock()
			c.Send(fmt.Sprintf(`40{"user":"user-%d"}`, n))
			if mode == "all" {
				awaitUsers(t, c, users)
			}
		})
	}
	listening.Wait()
	connected.Wait()
	slices.Sort(told)
	quantile := func(q float64) time.Duration {
		return told[int(math.Ceil(q*float64(users)))-1].Round(10 * time.Microsecond)
	}
	t.Logf("RESULT presence mode=%s users=%d rate=%d/s watchers=%d instances=3 broker=redis p50=%v p99=%v max=%v",
		mode, users, rate, watchers, quantile(.5), quantile(.99), quantile(1))
}

// userCame returns the number of the user that a frame says is online.
func userCame(frame string) (n int, ok bool) {
	_, err := fmt.Sscanf(frame, `42["presence:online",{"user":"user-%d"`, &n)
	return n, err == nil
}

// awaitUsers reads until a client knows of so many users: of those that were
// there by presence:list, which it asks for once it has its session.
func awaitUsers(t *testing.T, c *socketiotest.Client, users int) {
	known := make(map[int]bool)
	for listed := false; !listed || len(known) < users; {
		frame := c.Read()
		switch {
		case strings.HasPrefix(frame, `42["session"`):
			c.Send(`421["presence:list",{"limit":100}]`)
		case strings.HasPrefix(frame, "431["):
			var page []struct {
				Users []struct{ User string }
				Next  string
			}
			if err := json.Unmarshal([]byte(frame[3:]), &page); err != nil || len(page) != 1 {
				t.Errorf("presence:list answered %.200q: %v", frame, err)
				return
			}
			for _, u := range page[0].Users {
				var n int
				if _, err := fmt.Sscanf(u.User, "user-%d", &n); err == nil {
					known[n] = true
				}
			}
			if listed = page[0].Next == ""; !listed {
				c.Send(fmt.Sprintf(`421["presence:list",{"limit":100,"after":%q}]`, page[0].Next))
			}
		default:
			if n, ok := userCame(frame); ok {
				known[n] = true
			}
		}
	}
}
