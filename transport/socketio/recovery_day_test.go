package socketio_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/transport/socketio"
)

// TestRecoveryDay has clients come to three nodes, lose their connections, come
// back or stay away, and leave, for a day; and looks whether all who were back in
// time were recovered, and whether anything is kept of them when they have been
// gone for a while (I7).
func TestRecoveryDay(t *testing.T) {
	span := 24 * time.Hour
	if testing.Short() {
		span = time.Hour
	}
	synctest.Test(t, func(t *testing.T) {
		d := &day{end: time.Now().Add(span), rng: rand.New(rand.NewPCG(1, 1))}
		hub := memory.NewHub()
		for _, name := range []string{"a", "b", "c"} {
			d.nodes = append(d.nodes, newDayNode(t, hub, name))
		}
		var wg sync.WaitGroup
		var most socketio.RecoveryStats
		elsewhere := 0
		for n := 0; time.Now().Before(d.end); n++ {
			rng := rand.New(rand.NewPCG(2, uint64(n)))
			wg.Go(func() { d.visit(rng) }) // ends some minutes after
			d.pause(2 * time.Minute)
			if err := d.node(d.rng).Of("/").Emit("news", n); err != nil {
				t.Error(err)
			}
			for _, node := range d.nodes {
				now := node.RecoveryStats()
				most.Parked, most.Bytes = max(most.Parked, now.Parked), max(most.Bytes, now.Bytes)
				elsewhere = max(elsewhere, node.Of("/").Whereabouts())
			}
		}
		wg.Wait()
		// A loss is noticed within 45s, the window is 2m, and what was said is
		// kept for as long as both and 10s.
		time.Sleep(7 * time.Minute)
		synctest.Wait()
		var parked, recovered int
		anew := make(map[socketio.Unrecovered]int)
		for i, node := range d.nodes {
			if left := node.RecoveryStats(); left != (socketio.RecoveryStats{}) {
				t.Errorf("node %d keeps %+v", i, left)
			}
			if n := node.Of("/").Whereabouts(); n > 0 {
				t.Errorf("node %d knows where %d sockets are", i, n)
			}
			if node.Sessions() > 0 || node.Of("/").Len() > 0 {
				t.Errorf("node %d has %d clients, %d sockets", i, node.Sessions(), node.Of("/").Len())
			}
			now := node.counted()
			parked += now.parked
			recovered += now.recovered
			for why, n := range now.notRecovered {
				anew[why] += n
			}
		}
		if parked == 0 || recovered == 0 || most.Parked == 0 || most.Bytes == 0 {
			t.Error("nothing happened")
		}
		t.Logf("RESULT %v of sessions on 3 nodes: %d came, %d connections, of which %d were recovered, not %v, and %d refused; %d parked, at most %d at a time, with %d bytes, and %d at most known to be elsewhere; in the end nothing is kept",
			span, d.came, d.connections, recovered, anew, d.refused, parked, most.Parked, most.Bytes, elsewhere)
		if d.refused > 0 {
			t.Errorf("%d clients could not connect", d.refused)
		}
		if d.lost > 0 {
			t.Errorf("%d clients were back in time, and not recovered", d.lost)
		}
	})
}

// dayWindow is how long a client may be away, by default.
const dayWindow = 2 * time.Minute

// A day is what happens at the nodes.
type day struct {
	nodes []*bubble
	end   time.Time
	rng   *rand.Rand

	mu                         sync.Mutex // guards all below
	came, connections, refused int
	lost                       int // clients that were back in time, and not recovered
}

func newDayNode(t *testing.T, hub *memory.Hub, name string) *bubble {
	t.Helper()
	bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return hub.Driver(), nil }, broker.Options{
		Node: name, Heartbeat: time.Minute, Logger: slog.New(slog.DiscardHandler), // seldom: a day has many seconds
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
	})
	cluster := adapter.NewCluster(bus, adapter.Options{Logger: slog.New(slog.DiscardHandler)})
	b := newBubble(t, socketio.Options{Adapter: cluster.Namespace, Recovery: socketio.Recovery{Enabled: true}})
	b.Of("/").OnConnect(func(_ context.Context, s *socketio.Socket) {
		<-b.sockets // of the one that others read
		s.Join("room")
		_ = s.Emit("hello")
	})
	b.Of("/").OnDisconnect(func(context.Context, *socketio.Socket, socketio.Reason) { <-b.ends })
	return b
}

func (d *day) node(rng *rand.Rand) *bubble { return d.nodes[rng.IntN(len(d.nodes))] }

// pause takes the time, on average.
func (d *day) pause(average time.Duration) {
	time.Sleep(time.Duration(d.rng.ExpFloat64() * float64(average)))
}

// visit is a client that comes, and mostly comes back, until it leaves in one
// way or another.
func (d *day) visit(rng *rand.Rand) {
	some := func(average time.Duration) time.Duration {
		return time.Duration(rng.ExpFloat64() * float64(average))
	}
	d.count(func() { d.came++ })
	v := new(visitor)
	var heard time.Time // when it had all that there was for it
	for n := 0; ; n++ {
		d.count(func() { d.connections++ })
		if err := v.connect(d.node(rng).pipes); err != nil {
			d.count(func() { d.refused++ })
			return
		}
		switch away := time.Since(heard); {
		case n == 0:
		case away < dayWindow && !v.recovered:
			d.count(func() { d.lost++ })
		}
		if n == 0 || !v.recovered {
			heard = time.Now()
		}
		if stays := some(2 * time.Minute); rng.IntN(4) > 0 {
			cut := time.AfterFunc(stays, v.cut)
			v.listen()
			cut.Stop()
			heard = time.Now()
		} else { // deaf: the server has to notice
			time.Sleep(stays)
		}
		switch rng.IntN(6) {
		case 0:
			v.leave()
			return
		case 1:
			v.cut()
			return
		}
		time.Sleep(some(time.Minute))
		v.cut() // if it was deaf until now
	}
}

func (d *day) count(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// listen reads until the end of the connection, and keeps the offset.
func (v *visitor) listen() {
	for {
		text, err := v.next()
		if err != nil {
			return
		}
		var args []any
		if json.Unmarshal([]byte(strings.TrimPrefix(text, "42")), &args) == nil && len(args) > 1 {
			v.offset, _ = args[len(args)-1].(string)
		}
	}
}

// leave says goodbye, if it can still be heard.
func (v *visitor) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = v.conn.Write(ctx, websocket.MessageText, []byte("41"))
	v.cut()
}
