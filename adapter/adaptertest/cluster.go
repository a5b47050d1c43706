package adaptertest

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
)

// RunCluster tests what befalls an adapter.Cluster of three nodes: nodes that
// go, die and freeze, a broker that is cut off or comes back, that repeats and
// reorders, and what is large or malformed. open returns n drivers of one
// broker, fresh for each call. It takes a minute or so: where the drivers can
// live in a bubble of testing/synctest, RunClusterInBubble does it in no time.
func RunCluster(t *testing.T, open func(t *testing.T, n int) []broker.Driver) {
	runCluster(t, open, 500*time.Millisecond, func(t *testing.T, f func(t *testing.T)) { f(t) })
}

// RunClusterInBubble is RunCluster, each test within synctest.Test.
func RunClusterInBubble(t *testing.T, open func(t *testing.T, n int) []broker.Driver) {
	runCluster(t, open, time.Second, synctest.Test)
}

func runCluster(t *testing.T, open func(t *testing.T, n int) []broker.Driver, heartbeat time.Duration, in func(*testing.T, func(*testing.T))) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, r *rig)
	}{
		{"NodeLeaves", nodeLeaves},
		{"NodeIsKilled", nodeKilled},
		{"NodeFreezes", nodeFreezes},
		{"NodeIsCutOff", nodeCutOff},
		{"BrokerRestarts", brokerRestarts},
		{"RepeatedAndReordered", rough},
		{"JoinRace", joinRace},
		{"LargeFetch", largeFetch},
		{"FetchIsGivenUp", fetchGivenUp},
		{"LargeBroadcastHoldsUpNothing", largeBroadcast},
		{"Malformed", malformed},
		{"TwoClusters", twoClusters},
		{"OtherVersions", otherVersions},
		{"NamespacesOnSomeNodes", someNodes},
		{"IdleNamespaces", idleNamespaces},
		{"NothingIsLeft", nothingLeft},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				tt.run(t, &rig{t: t, heartbeat: heartbeat, open: open})
			})
		})
	}
}

// A rig is a cluster with weather.
type rig struct {
	t         *testing.T
	heartbeat time.Duration
	open      func(t *testing.T, n int) []broker.Driver
}

// A node is one process of the cluster, as it were.
type node struct {
	adapter.Adapter
	bus       *broker.Bus
	weather   *weather
	cluster   *adapter.Cluster
	socket    *Socket // the first that was added
	malformed chan string
}

// Close closes the node as a process that ends well.
func (n *node) Close() error {
	n.Adapter.Close()
	return n.bus.Close()
}

const namespace = "/"

// start returns n nodes that know each other, each with a socket in the room
// "r" that answers its node's name.
func (r *rig) start(n int) []*node {
	r.t.Helper()
	return r.startOver(r.open(r.t, n), "test-"+rand.Text()[:10])
}

func (r *rig) startOver(drivers []broker.Driver, cluster string) []*node {
	r.t.Helper()
	nodes := make([]*node, len(drivers))
	for i, d := range drivers {
		nodes[i] = r.startOne(d, cluster, fmt.Sprint("n", i))
	}
	for _, n := range nodes {
		r.know(n, len(nodes)-1)
	}
	return nodes
}

func (r *rig) startOne(d broker.Driver, cluster, name string) *node {
	r.t.Helper()
	n := &node{weather: newWeather(d), malformed: make(chan string, 1000)}
	b, err := broker.Open(r.ctx(), func(context.Context) (broker.Driver, error) { return n.weather, nil }, broker.Options{
		Node: name, Cluster: cluster, Heartbeat: r.heartbeat, Logger: quiet,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	n.bus = b
	r.t.Cleanup(func() {
		n.weather.set(func(w *weather) {
			if w.frozen != nil {
				close(w.frozen)
				w.frozen = nil
			}
		})
		n.bus.Close()
	})
	n.cluster = adapter.NewCluster(b, adapter.Options{Logger: quiet, Hooks: adapter.Hooks{
		Malformed: func(from broker.Member) { n.malformed <- from.Name },
	}})
	n.Adapter = n.cluster.Namespace(namespace)
	n.socket = NewSocket(n.Adapter)
	n.socket.AnswerAll(name)
	n.Add(n.socket, "r")
	n.HandleNodes(func(_ string, _ []byte, answer func([]byte, error)) {
		if answer != nil {
			answer([]byte(name), nil)
		}
	})
	return n
}

var quiet = slog.New(slog.DiscardHandler)

// patience is how long is waited for what should come.
const patience = 30 * time.Second

func (r *rig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	r.t.Cleanup(cancel)
	return ctx
}

// know waits until n knows so many others.
func (r *rig) know(n *node, others int) {
	r.t.Helper()
	if err := n.cluster.AwaitNodes(r.ctx(), others); err != nil {
		r.t.Fatal(err)
	}
}

// until waits until f is true.
func (r *rig) until(what string, f func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// bound is the time after which a node that says nothing is down, and a
// little more.
func (r *rig) bound() time.Duration { return 5*r.heartbeat + r.heartbeat/2 + time.Second }

// packet returns one with a text.
func packet(text string) *adapter.Packet { return &adapter.Packet{Data: []byte(text)} }

var everybody = adapter.Target{}
