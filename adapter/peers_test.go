package adapter_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
)

// recorded returns a namespace on n nodes, and the Log that each keeps.
func recorded(t *testing.T, buses []*broker.Bus) (nodes []adapter.Peers, logs []*adapter.Log) {
	t.Helper()
	for _, b := range buses {
		j := adapter.NewJournal(adapter.JournalOptions{})
		t.Cleanup(j.Close)
		n := newCluster(b).Namespace("/").(adapter.Peers)
		nodes, logs = append(nodes, n), append(logs, n.Record(j, adapter.LogOptions{Build: asText}))
	}
	return nodes, logs
}

// What a node tells a peer comes in order with what it broadcasts, and to that
// peer alone; short or long.
func TestPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, _ := recorded(t, openBuses(t, 3))
		var mu sync.Mutex // guards heard
		var heard []string
		take := func() []string {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			all := heard
			heard = nil
			slices.Sort(all)
			return all
		}
		s := &listener{id: nodes[1].NewID()}
		nodes[1].Add(s)
		for i, n := range nodes {
			n.HandlePeers("topic", func(from string, body []byte) {
				mu.Lock()
				defer mu.Unlock()
				heard = append(heard, fmt.Sprintf("%d: %.10s of %v", i, body, from == nodes[0].Node()))
				if i == 1 {
					heard[len(heard)-1] += fmt.Sprintf(" after %d", len(s.heard))
				}
			})
		}
		check(t, nodes[0].Broadcast(adapter.Target{}, packet("a")))
		check(t, nodes[0].TellPeer(nodes[1].Node(), "topic", []byte("one")))
		check(t, nodes[0].TellPeer(nodes[1].Node(), "nobody's", []byte("none")))
		check(t, nodes[0].Broadcast(adapter.Target{}, packet("b")))
		long := make([]byte, 1<<20)
		copy(long, "long......")
		check(t, nodes[0].TellPeer(nodes[1].Node(), "topic", long))
		if got, want := take(), []string{"1: long...... of true after 2", "1: one of true after 1"}; !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
		check(t, nodes[0].TellPeers("topic", []byte("all")))
		if got, want := take(), []string{"1: all of true after 2", "2: all of true"}; !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
		for _, node := range []string{"", "nobody", nodes[0].Node()} {
			if err := nodes[0].TellPeer(node, "topic", nil); !errors.Is(err, broker.ErrUnknownNode) || nodes[0].IsUp(node) {
				t.Errorf("to tell %q: %v, want ErrUnknownNode", node, err)
			}
		}
		if !nodes[0].IsUp(nodes[2].Node()) {
			t.Error("a peer is not up")
		}
	})
}

func TestWatchPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := openBuses(t, 2)
		nodes, _ := recorded(t, buses)
		told := make(chan string, 1)
		stop := nodes[0].WatchPeers(func(node string, up bool) { told <- fmt.Sprint(node, up) })
		check(t, buses[1].Close())
		if got, want := <-told, nodes[1].Node()+"false"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
		stop()
	})
}

// A Log's Vector tells what of the namespace was heard of every node, whether
// it concerned a socket here or not.
func TestVector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := openBuses(t, 2)
		nodes, logs := recorded(t, buses)
		number := func(log, node int) uint64 { return logs[log].Vector()[buses[node].Self().ID] }
		last := uint64(0)
		for _, say := range []func() error{
			func() error { return nodes[0].Broadcast(adapter.Target{}, packet("a")) },
			func() error {
				return nodes[0].Broadcast(adapter.Target{Rooms: []adapter.Room{"r"}}, &adapter.Packet{Data: []byte("v"), Volatile: true})
			},
			func() error { return nodes[0].JoinAll(adapter.Target{}, "r") },
			func() error { return nodes[0].LeaveAll(adapter.Target{}, "r") },
			func() error { return nodes[0].DisconnectAll(adapter.Target{}, false) },
			func() error { _, err := nodes[0].Deliver(adapter.Target{}, packet("b")).Wait(t.Context()); return err },
		} {
			check(t, nodes[0].TellNodes(nil))
			check(t, say())
			time.Sleep(time.Second)
			if own, other := number(0, 0), number(1, 0); own != other || own <= last {
				t.Errorf("%d is said, %d heard; before it was %d", own, other, last)
			}
			last = number(0, 0)
		}
		if n := number(0, 1); n != 0 {
			t.Errorf("the other node said nothing, and %d is heard", n)
		}
		time.Sleep(time.Hour)
		if v := logs[1].Vector(); len(v) > 0 || logs[1].Bytes() > 0 {
			t.Errorf("in the end %v is known, in %d bytes", v, logs[1].Bytes())
		}
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
