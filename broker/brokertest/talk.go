package brokertest

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// A Talk is two nodes of one cluster, of which X says numbers, one after the
// other, and Y hears them. That a node misses something, or takes another one
// for gone, fails the test.
type Talk struct {
	X, Y *broker.Bus

	heard     chan string
	said, got int
}

// NewTalk has a node over each driver, the first two of them X and Y. opts are
// as for Cluster.
func NewTalk(t *testing.T, drivers []broker.Driver, opts broker.Options) *Talk {
	t.Helper()
	nodes := Cluster(t, drivers, opts)
	k := &Talk{X: nodes[0], Y: nodes[1], heard: make(chan string, 1<<14)}
	var over atomic.Bool
	for _, b := range nodes {
		b.Watch(func(ev broker.Event) {
			if over.Load() {
				return // the nodes go, one after the other
			}
			if ev.Kind == broker.Gap || ev.Kind == broker.NodeDown {
				t.Errorf("%s: %v of %s", b.Self().Name, ev.Kind, ev.Node.Name)
			}
		})
	}
	k.Y.Handle("talk", func(m broker.Message) { k.heard <- string(m.Body) })
	t.Cleanup(func() { over.Store(true) })
	return k
}

// Say says the next n numbers, some to all and some to Y alone.
func (k *Talk) Say(t *testing.T, n int) {
	t.Helper()
	for range n {
		var err error
		if k.said%3 == 0 {
			err = k.X.Send(k.Y.Self().ID, "talk", fmt.Append(nil, k.said))
		} else {
			err = k.X.Broadcast("talk", fmt.Append(nil, k.said))
		}
		if err != nil {
			t.Fatalf("number %d: %v", k.said, err)
		}
		k.said++
	}
}

// Hear waits until Y has heard all that was said, in order and once.
func (k *Talk) Hear(t *testing.T) {
	t.Helper()
	for ; k.got < k.said; k.got++ {
		select {
		case s := <-k.heard:
			if s != fmt.Sprint(k.got) {
				t.Fatalf("heard %s, want %d", s, k.got)
			}
		case <-time.After(2 * Patience):
			t.Fatalf("number %d was never heard", k.got)
		}
	}
}

// Await waits until both are in a state.
func (k *Talk) Await(t *testing.T, want broker.State) {
	t.Helper()
	AwaitState(t, want, k.X, k.Y)
}

// AwaitState waits until all nodes are in a state.
func AwaitState(t *testing.T, want broker.State, nodes ...*broker.Bus) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(2 * Patience)
	for _, b := range nodes {
		for b.State() != want {
			select {
			case <-tick.C:
			case <-timeout:
				t.Fatalf("%s is %v, want %v", b.Self().Name, b.State(), want)
			}
		}
	}
}

// A Log keeps what is logged, for a test to read meanwhile. The zero value is
// ready for use.
type Log struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Logger returns a logger that writes to l, as text.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
