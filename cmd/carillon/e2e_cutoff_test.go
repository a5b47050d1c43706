package main_test

import (
	"crypto/rand"
	"math/big"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestCutOff cuts a client off for two seconds, again and again, while 1,000
// messages a second are for it, and each time it comes back to whatever
// instance. CARILLON_TEST_CUTS is how often, for each broker and transport;
// twice over Redis if it is unset. With it the same is measured of Node's
// server, if its packages are installed, which fails no test.
func TestCutOff(t *testing.T) {
	t.Parallel() // it waits, mostly
	all := os.Getenv("CARILLON_TEST_CUTS") != ""
	cuts := scale(t, "CARILLON_TEST_CUTS", 2)
	for _, broker := range brokers {
		for _, mode := range modes {
			if !all && (broker != "redis" || mode != "upgrade") {
				continue
			}
			t.Run(broker+"/"+mode, func(t *testing.T) {
				instances := startSeveral(t, 3, broker, joinedBy(t, broker)...)
				cutOff(t, "Carillon", mode, cuts, instances)
			})
		}
	}
	if all {
		t.Run("node", func(t *testing.T) {
			cutOff(t, "Node", "websocket", cuts, startNodes(t, 3)) // it has no other transport without affinity
		})
	}
}

// cutOff runs the script between instances and a client that is cut off.
func cutOff(t *testing.T, whose, mode string, cuts int, instances []*instance) {
	s := newSpread(t, inTurns, instances...)
	n := 0
	cutIt := func(*testing.T) {
		pause, _ := rand.Int(rand.Reader, big.NewInt(1000))
		sleep(t, 500*time.Millisecond+time.Duration(pause.Int64())*time.Millisecond)
		s.cuts.refuse(true)
		s.cuts.cut([]cut{reset, freeze, finish}[n%3], 1)
		n++
		sleep(t, 2*time.Second)
		s.cuts.refuse(false)
	}
	runScript(t, asks{"cut": cutIt}, "cutoff.mjs", whose, mode, s.url(), instances[0].url(), "1000", strconv.Itoa(cuts))
}

// sleep is for what takes its time, such as a cut; it waits for nothing.
func sleep(t *testing.T, d time.Duration) { wait(t.Context(), d) }

// startNodes starts servers of Node's that recover their clients.
func startNodes(t *testing.T, n int) (all []*instance) {
	t.Helper()
	dir := filepath.Join("..", "..", "testdata", "bench", "recovery")
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "node_modules"))
	}
	if err != nil {
		t.Skip("Node's server is not installed: run npm ci in testdata/bench/recovery")
	}
	key := "e2e-" + strings.ToLower(rand.Text())
	redis := testRedis(t)
	for range n {
		i := &instance{serving: make(chan string, 1)}
		i.name = "Node's server"
		i.cmd = func() *exec.Cmd {
			cmd := exec.Command(node, "server.mjs")
			cmd.Dir = dir
			cmd.Env = append(ourEnviron(), "REDIS="+redis, "KEY="+key)
			return cmd
		}
		i.line = func(line []byte) {
			if addr, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "serving "); ok {
				if _, err := url.Parse("http://" + addr); err == nil {
					i.serving <- addr
				}
			}
		}
		t.Cleanup(func() { i.kill(t) })
		i.start(t)
		all = append(all, i)
	}
	return all
}
