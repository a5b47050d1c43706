package main_test

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker/brokertest"
)

// An instance is one process of the server.
type instance struct {
	process
	addr    string // host:port to listen on; after the first start a fixed one
	serving chan string
	handed  handed // by all its processes
}

// handed is what became of the sockets of an instance that stopped.
type handed struct {
	mu                   sync.Mutex // guards all below
	moved, adopted, lost int
}

func (h *handed) add(moved, adopted, lost int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.moved += moved
	h.adopted += adopted
	h.lost += lost
}

func (i *instance) url() string { return "http://" + i.addr }

// start returns once the instance serves, at the address it had before.
func (i *instance) start(t *testing.T) {
	t.Helper()
	i.launch(t)
	select {
	case i.addr = <-i.serving:
	case <-i.ended:
		t.Fatalf("%s ended: %v", i.name, i.err)
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not serve", i.name)
	}
}

// startPair starts two instances of a cluster of their own, joined by the
// broker at url.
func startPair(t *testing.T, url string) (a, b *instance) {
	t.Helper()
	driver, variable := "redis", "REDIS_URL="
	if strings.HasPrefix(url, "amqp") {
		driver, variable = "rabbitmq", "RABBITMQ_URL="
	}
	return startPairOver(t, driver, variable+url)
}

// startPairOver starts two instances of a cluster of their own, joined by the
// driver of this name, which environ configures.
func startPairOver(t *testing.T, driver string, environ ...string) (a, b *instance) {
	t.Helper()
	all := startSeveral(t, 2, driver, environ...)
	return all[0], all[1]
}

// startSeveral starts instances of a cluster of their own: node-a, node-b, and
// so on.
func startSeveral(t *testing.T, n int, driver string, environ ...string) (all []*instance) {
	t.Helper()
	cluster := newCluster()
	for i := range n {
		all = append(all, startMember(t, cluster, i, driver, environ...))
	}
	return all
}

// newCluster returns the name of a cluster of its own.
func newCluster() string { return "e2e-" + strings.ToLower(rand.Text()) }

// startMember starts one instance of a cluster.
func startMember(t *testing.T, cluster string, i int, driver string, environ ...string) *instance {
	t.Helper()
	environ = slices.Concat(environ, []string{
		"CARILLON_BROKER__DRIVER=" + driver, "CARILLON_BROKER__CLUSTER=" + cluster, "CARILLON_SERVER__CORS__ORIGINS=*",
	})
	return startInstance(t, "node-"+string(rune('a'+i)), environ...)
}

// brokers are those that can join instances.
var brokers = []string{"redis", "rabbitmq", "kafka"}

// joinedBy returns the environment of instances that the broker of this name
// for tests joins.
func joinedBy(t *testing.T, broker string) []string {
	t.Helper()
	switch broker {
	case "redis":
		return []string{"REDIS_URL=" + testRedis(t)}
	case "rabbitmq":
		return []string{"RABBITMQ_URL=" + brokertest.Env(t, "CARILLON_TEST_RABBITMQ")}
	}
	return []string{
		"KAFKA_BROKERS=" + brokertest.Env(t, "CARILLON_TEST_KAFKA"),
		"CARILLON_BROKER__KAFKA__TOPIC=carillon-e2e", "CARILLON_BROKER__KAFKA__RETENTION=1m",
	}
}

// scale is how much of something a test does: so much, or what this variable
// of the environment says.
func scale(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s: got %q, want a number", variable, text)
	}
	return n
}

// startInstance starts one instance that environ configures.
func startInstance(t *testing.T, node string, environ ...string) *instance {
	t.Helper()
	i := &instance{addr: "127.0.0.1:0", serving: make(chan string, 1)}
	i.name = node
	i.cmd = func() *exec.Cmd {
		cmd := exec.Command(serverBinary(), "serve", "--listen", i.addr, "--node", node)
		cmd.Env = append(append(ourEnviron(), "CARILLON_SERVER__DRAIN__LINGER=100ms"), environ...) // nobody comes back to a test that is over
		return cmd
	}
	i.line = func(line []byte) {
		var said struct {
			Msg, Addr            string
			Moved, Adopted, Lost int
		}
		if json.Unmarshal(line, &said) != nil {
			return
		}
		switch said.Msg {
		case "serving":
			select {
			case i.serving <- said.Addr:
			default:
			}
		case "sockets handed over to other nodes":
			i.handed.add(said.Moved, said.Adopted, said.Lost)
		}
	}
	i.manage(t)
	i.start(t)
	return i
}

// ourEnviron is the environment without what would configure a server.
func ourEnviron() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "CARILLON_") || strings.HasPrefix(v, "REDIS_") ||
			strings.HasPrefix(v, "RABBITMQ_") || strings.HasPrefix(v, "KAFKA_")
	})
}

// serverBinary is the command that TestMain puts in the path, and so has the
// race detector if the test has it; or what CARILLON_TEST_BINARY names.
func serverBinary() string { return cmp.Or(os.Getenv("CARILLON_TEST_BINARY"), "carillon") }

// testRedis is the URL of the Redis for tests.
func testRedis(t *testing.T) string {
	t.Helper()
	addr := brokertest.Env(t, "CARILLON_TEST_REDIS")
	if !strings.Contains(addr, "://") {
		addr = "redis://" + addr
	}
	return addr
}
