package socketio_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/transport/socketio"
)

// TestMovesSimulation has clients lose their connections in every way and come
// back on any of three nodes, whose messages to each other take their time,
// while all nodes emit to all, to rooms, to single sockets and by sockets that
// have gone elsewhere. Each run is made of its seed, in virtual time. What must
// hold, whatever happens:
//
//   - a client gets the durable events that were for its session, each once, and
//     at last all of them; broadcasts of one node in their order (I2);
//   - a client that is not recovered has a new id (I3);
//   - nothing of a session comes, once its client is back on another connection,
//     by the old one (I1), nor before the answer to CONNECT (I4);
//   - in the end nothing is kept, and no node knows of a socket elsewhere (I6, I7).
func TestMovesSimulation(t *testing.T) {
	if *simSeed != 0 {
		moveAbout(t, *simSeed)
		return
	}
	seeds := *simSeeds / 6
	if testing.Short() {
		seeds = min(seeds, 5)
	}
	var all moveTotals
	eachSeed(t, seeds, func(seed uint64) { all.add(moveAbout(t, seed)) })
	t.Logf("RESULT simulation of moves: %d seeds, %d connections, %d recovered, not %v, %d fences, %d events",
		seeds, all.connections, all.recovered, all.fresh, all.fences, all.events)
}

type moveTotals struct {
	connections, recovered, fences, events int
	fresh                                  map[socketio.Unrecovered]int
}

func (a *moveTotals) add(b moveTotals) {
	a.connections += b.connections
	a.recovered += b.recovered
	a.fences += b.fences
	a.events += b.events
	a.fresh = together(a.fresh, b.fresh)
}

// together adds the counts of b to a, which may be nil.
func together(a, b map[socketio.Unrecovered]int) map[socketio.Unrecovered]int {
	if a == nil {
		a = make(map[socketio.Unrecovered]int)
	}
	for why, n := range b {
		a[why] += n
	}
	return a
}

// A world is one run.
type world struct {
	t     *testing.T
	nodes []*bubble
	rng   *rand.Rand // the driver's

	mu       sync.Mutex // guards all below; held while the driver acts
	sessions map[string]*traveller
	events   []worldEvent // by their number
	totals   moveTotals
}

// A worldEvent is a durable event.
type worldEvent struct {
	from  int // node
	what  string
	all   bool            // a broadcast, which has its order among those of its node
	to    map[string]bool // sessions that there were, and must get it
	since time.Time
}

// A traveller is what is true of a session, by its socket's id.
type traveller struct {
	sockets []*socketio.Socket // all that there were
	room    string
	born    time.Time
}

func moveAbout(t *testing.T, seed uint64) (totals moveTotals) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), sessions: make(map[string]*traveller)}
		lag := time.Duration(w.rng.IntN(40)) * time.Millisecond
		hub := memory.NewHub()
		for i := range 3 {
			driver := &slow{Driver: hub.Driver(), lag: lag, rng: rand.New(rand.NewPCG(seed, uint64(100+i)))}
			bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return driver, nil },
				broker.Options{Node: fmt.Sprint("n", i), Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = bus.Close() })
			cluster := adapter.NewCluster(bus, adapter.Options{Logger: slog.New(slog.DiscardHandler)})
			b := newBubble(t, socketio.Options{Adapter: cluster.Namespace, Recovery: socketio.Recovery{Enabled: true}})
			b.Of("/").Use(func(_ context.Context, s *socketio.Socket) error {
				s.Join("r" + string(s.ID()[len(s.ID())-1]&1+'0'))
				return nil
			})
			b.Of("/").OnConnect(w.connected)
			w.nodes = append(w.nodes, b)
		}
		time.Sleep(10 * time.Second)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		clients := make([]*wanderer, 1+w.rng.IntN(5))
		for i := range clients {
			clients[i] = &wanderer{world: w, name: i, rng: rand.New(rand.NewPCG(seed, uint64(i+2)))}
			wg.Go(func() { roam(clients[i], clients[i].rng, stop) }) // ends with stop
		}
		for range 250 {
			time.Sleep(time.Duration(w.rng.IntN(30)) * time.Millisecond)
			w.act()
		}
		close(stop)
		wg.Wait()
		time.Sleep(10 * time.Second)
		for _, c := range clients {
			c.settle()
		}
		for _, c := range clients {
			c.cut()
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		w.totals.fresh = make(map[socketio.Unrecovered]int)
		for i, b := range w.nodes {
			if got := b.RecoveryStats(); got != (socketio.RecoveryStats{}) {
				t.Errorf("node %d keeps %+v in the end", i, got)
			}
			if n := b.Of("/").Whereabouts(); n > 0 {
				t.Errorf("node %d knows where %d sockets are in the end", i, n)
			}
			for why, n := range b.counted().notRecovered {
				w.totals.fresh[why] += n
			}
		}
		totals = w.totals
	})
	return totals
}

// connected is told of each socket.
func (w *world) connected(_ context.Context, s *socketio.Socket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := w.sessions[s.ID()]
	if o == nil {
		o = &traveller{room: "r" + string(s.ID()[len(s.ID())-1]&1+'0'), born: time.Now()}
		w.sessions[s.ID()] = o
	}
	o.sockets = append(o.sockets, s)
}

// act emits something, somewhere.
func (w *world) act() {
	w.mu.Lock()
	defer w.mu.Unlock()
	node := w.rng.IntN(len(w.nodes))
	n := w.nodes[node].Of("/")
	ids := make([]string, 0, len(w.sessions))
	for id := range w.sessions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	e := worldEvent{from: node, to: make(map[string]bool), since: time.Now()}
	number := len(w.events)
	some := func(f func(*traveller) bool) {
		for id, o := range w.sessions {
			if f(o) {
				e.to[id] = true
			}
		}
	}
	room := fmt.Sprint("r", w.rng.IntN(2))
	switch k := w.rng.IntN(100); {
	case k < 25:
		e.all = true
		some(func(*traveller) bool { return true })
		_ = n.Emit("e", number)
	case k < 45:
		e.all = true
		some(func(o *traveller) bool { return o.room == room })
		_ = n.To(room).Emit("e", number)
	case k < 55:
		e.all = true
		some(func(o *traveller) bool { return o.room != room })
		_ = n.Except(room).Emit("e", number)
	case k < 65:
		_ = n.Volatile().Emit("v", number, "text")
		return
	case len(ids) == 0:
		return
	case k < 80:
		id := ids[w.rng.IntN(len(ids))]
		e.to[id], e.what = true, fmt.Sprintf("to the id, %d sockets so far", len(w.sessions[id].sockets))
		_ = n.To(id).Emit("e", number)
	default:
		id := ids[w.rng.IntN(len(ids))]
		o := w.sessions[id]
		k := w.rng.IntN(len(o.sockets))
		e.to[id], e.what = true, fmt.Sprintf("by socket %d of %d", k, len(o.sockets))
		_ = o.sockets[k].Emit("e", number)
	}
	w.events = append(w.events, e)
	w.totals.events++
}

// A wanderer is a client that loses its connection again and again.
type wanderer struct {
	*world
	visitor
	name     int
	rng      *rand.Rand
	received []int // durable events of this session
	trail    []string
}

func (c *wanderer) open() bool {
	before, pid := c.sid, c.pid
	k := c.rng.IntN(len(c.nodes))
	c.trail = append(c.trail, fmt.Sprintf("%v asks %d with %s;", time.Now().Format("05.000"), k, c.offset))
	defer func() {
		c.trail = append(c.trail, fmt.Sprintf("%v at %d, %v;", time.Now().Format("05.000"), k, c.recovered))
	}()
	if err := c.connect(c.nodes[k].pipes); err != nil {
		c.t.Errorf("client %d: %v", c.name, err)
		return false
	}
	c.world.mu.Lock()
	c.totals.connections++
	if c.recovered {
		c.totals.recovered++
	}
	c.world.mu.Unlock()
	if c.recovered != (before == c.sid) && pid != "" {
		c.t.Errorf("client %d: recovered %v, id %s, before %s", c.name, c.recovered, c.sid, before)
	}
	if !c.recovered {
		c.check(before, false)
		c.received = nil
	}
	return true
}

// listen takes as many packets, fewer if the connection ends or for half a
// second nothing comes.
func (c *wanderer) listen(n int) {
	idle := time.AfterFunc(500*time.Millisecond, c.cut)
	defer idle.Stop()
	for ; n > 0; n-- {
		packet, err := c.next()
		if err != nil {
			return
		}
		idle.Reset(500 * time.Millisecond)
		var args []any
		if body, event := strings.CutPrefix(packet, "42"); !event || json.Unmarshal([]byte(body), &args) != nil {
			c.t.Errorf("client %d: got %q", c.name, packet)
			return
		}
		if args[0] == "e" {
			c.received = append(c.received, int(args[1].(float64)))
		}
		if offset, ok := args[len(args)-1].(string); ok {
			c.offset = offset
		}
	}
}

// freeze leaves the connection open, as far as the server knows, and hears
// nothing more by it.
func (c *wanderer) freeze() {
	c.world.mu.Lock()
	c.totals.fences++
	c.world.mu.Unlock()
	c.abandon(c.name, c.t.Errorf)
}

// check holds what came against what was due; at the end all must have come.
func (c *wanderer) check(id string, end bool) {
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	o := c.sessions[id]
	if o == nil {
		return
	}
	got := make(map[int]bool)
	newest := make(map[int]int) // broadcast of each node
	for _, number := range c.received {
		e := c.events[number]
		if got[number] {
			c.t.Errorf("client %d got %d twice: %v", c.name, number, c.received)
			return
		}
		got[number] = true
		if !e.to[id] && o.born.Sub(e.since) > time.Second {
			c.t.Errorf("client %d got %d, which was not for it", c.name, number)
			return
		}
		if !e.all {
			continue
		}
		if before, ok := newest[e.from]; ok && before > number {
			c.t.Errorf("client %d got %d of node %d behind %d: %v", c.name, number, e.from, before, c.received)
			return
		}
		newest[e.from] = number
	}
	for number, e := range c.events {
		if !e.to[id] || got[number] {
			continue
		}
		// Of a session that ended before all had come, none may be missing that
		// a later broadcast of the same node has overtaken.
		if end || e.all && newest[e.from] > number {
			c.t.Errorf("client %d of %s did not get %d of node %d (to all %v, %s), which was said at %v: %v; %v", c.name, id, number, e.from, e.all, e.what, e.since.Format("05.000"), c.received, c.trail)
			return
		}
	}
}

// settle connects for good and takes all that is still to come.
func (c *wanderer) settle() {
	if c.open() {
		c.listen(1 << 20) // ends when nothing comes
		c.check(c.sid, true)
	}
}

// A slow driver delivers each envelope a while after it came, in order.
type slow struct {
	broker.Driver
	lag time.Duration

	mu   sync.Mutex // guards all below
	rng  *rand.Rand
	subs []*slowly
}

func (d *slow) Close() error {
	err := d.Driver.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.subs {
		s.end()
	}
	return err
}

func (d *slow) Subscribe(ctx context.Context, topic string, h broker.Handler) (broker.Subscription, error) {
	s := &slowly{queue: make(chan slowItem, 1<<16), stop: make(chan struct{}), done: make(chan struct{})}
	go func() { // ends with Close
		defer close(s.done)
		for {
			select {
			case i := <-s.queue:
				time.Sleep(time.Until(i.at))
				h(i.data)
			case <-s.stop:
				return
			}
		}
	}()
	inner, err := d.Driver.Subscribe(ctx, topic, func(data []byte) {
		d.mu.Lock()
		at := time.Now().Add(time.Duration(d.rng.Int64N(int64(d.lag) + 1)))
		d.mu.Unlock()
		s.queue <- slowItem{at, data}
	})
	if err != nil {
		s.end()
		return nil, err
	}
	s.inner = inner
	d.mu.Lock()
	defer d.mu.Unlock()
	d.subs = append(d.subs, s)
	return s, nil
}

type slowItem struct {
	at   time.Time
	data []byte
}

type slowly struct {
	inner      broker.Subscription
	queue      chan slowItem
	stop, done chan struct{}
	once       sync.Once
}

func (s *slowly) Close() error {
	err := s.inner.Close()
	s.end()
	return err
}

func (s *slowly) end() {
	s.once.Do(func() { close(s.stop) })
	<-s.done
}
