package socketio_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/transport/socketio"
)

var (
	simSeeds = flag.Int("recovery.seeds", 60, "runs of TestRecoverySimulation")
	simSeed  = flag.Uint64("recovery.seed", 0, "the one seed to run; 0: recovery.seeds of them")
)

// TestRecoverySimulation has clients lose their connections in every way and at
// any moment, while a server emits all kinds of events, moves sockets between
// rooms and puts some of them out. Each run is made of its seed, in virtual
// time. What must hold, whatever happens:
//
//   - a client gets the durable events that were for its session, each once, in
//     order and without a hole (I2), and at last all of them;
//   - a client that is not recovered has a new id, and the cause was counted (I3);
//   - nothing of a session comes before the answer to CONNECT (I4), nor, once
//     its client is back on another connection, by the old one (I1);
//   - volatile events come once at most, and break nothing (I11);
//   - who was put out is not recovered (I12); rooms and data are those of before;
//   - what is kept stays within its bounds, and in the end nothing is (I7).
func TestRecoverySimulation(t *testing.T) {
	if *simSeed != 0 {
		simulate(t, *simSeed)
		return
	}
	seeds := *simSeeds
	if testing.Short() {
		seeds = min(seeds, 10)
	}
	var all simTotals
	eachSeed(t, seeds, func(seed uint64) { all.add(simulate(t, seed)) })
	t.Logf("RESULT recovery simulation: %d seeds, %d connections, %d recovered, %d not, %d fences, %d events, %d sent again, %d given up",
		seeds, all.connections, all.recovered, all.fresh, all.fences, all.events, all.replayed, all.evicted)
}

// eachSeed runs a simulation with the seeds from 1 on, until one fails, and says
// how that one is repeated.
func eachSeed(t *testing.T, seeds int, run func(seed uint64)) {
	t.Helper()
	seed := uint64(1)
	defer func() { // synctest.Test ends the test if the bubble's failed
		if t.Failed() {
			t.Logf("again with -run '%s$' -recovery.seed %d", t.Name(), seed)
		}
	}()
	for ; seed <= uint64(seeds); seed++ {
		run(seed)
	}
}

type simTotals struct {
	connections, recovered, fresh, fences, events, replayed, evicted int
}

func (a *simTotals) add(b simTotals) {
	a.connections += b.connections
	a.recovered += b.recovered
	a.fresh += b.fresh
	a.fences += b.fences
	a.events += b.events
	a.replayed += b.replayed
	a.evicted += b.evicted
}

const simMaxBytes = 64 << 10

// A sim is one run: a server, the truth about its sessions, and clients.
type sim struct {
	*bubble
	rng *rand.Rand // the driver's

	mu       sync.Mutex // guards all below; held while the driver acts, so that the truth is told in its order
	sessions map[string]*simSession
	last     int
	common   []int // events for whoever is in no room
	totals   simTotals
	failed   bool
}

// A simSession is what is true of a session, by its socket's id.
type simSession struct {
	socket   *socketio.Socket // the newest
	old      *socketio.Socket // the first
	rooms    map[string]bool
	data     int
	due      []int // durable events for it, in order
	admitted int   // the first of them that it must have got; those before were around its admission
	out      bool  // put out
}

func (s *sim) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = true
	s.t.Errorf(format, args...)
}

func simulate(t *testing.T, seed uint64) (totals simTotals) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 1))
		opts := socketio.Options{Recovery: socketio.Recovery{Enabled: true, MaxParked: 1 + rng.IntN(20)}}
		if rng.IntN(3) == 0 { // little room
			opts.Recovery.MaxBytes = simMaxBytes
		}
		s := &sim{bubble: newBubble(t, opts), rng: rng, sessions: make(map[string]*simSession)}
		s.Of("/").OnConnect(s.connected)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		clients := make([]*simClient, 1+rng.IntN(6))
		for i := range clients {
			clients[i] = &simClient{sim: s, name: i, rng: rand.New(rand.NewPCG(seed, uint64(i+2)))}
			wg.Go(func() { roam(clients[i], clients[i].rng, stop) }) // ends with stop
		}
		for range 300 {
			time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
			s.act()
			if b := s.RecoveryStats().Bytes; opts.Recovery.MaxBytes > 0 && b > opts.Recovery.MaxBytes {
				s.fail("%d bytes are kept", b)
			}
		}
		close(stop)
		wg.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		for _, c := range clients {
			c.settle()
		}
		s.end(clients)
		s.totals.replayed, s.totals.evicted = s.counted().replayed, s.counted().evicted
		totals = s.totals
	})
	return totals
}

// connected is told of each socket.
func (s *sim) connected(_ context.Context, socket *socketio.Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !socket.Recovered() {
		s.sessions[socket.ID()] = &simSession{
			socket: socket, old: socket, rooms: make(map[string]bool),
			due: slices.Clone(s.common), admitted: len(s.common),
		}
		return
	}
	session := s.sessions[socket.ID()]
	if session == nil {
		return // its first OnConnect is about to be called: it was cut before
	}
	session.socket = socket
	if got, _ := socket.Data().(int); got != session.data {
		s.t.Errorf("data of %s is %v, want %d", socket.ID(), socket.Data(), session.data)
	}
	for _, room := range simRooms {
		if got := slices.Contains(socket.Rooms(), room); got != session.rooms[room] && socket.Connected() {
			s.t.Errorf("%s is in room %s: %v, want %v", socket.ID(), room, got, session.rooms[room])
		}
	}
}

var simRooms = []string{"r1", "r2", "r3"}

// act does one thing at random.
func (s *sim) act() {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.Of("/")
	ids := make([]string, 0, len(s.sessions))
	for id := range s.sessions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	room := simRooms[s.rng.IntN(len(simRooms))]
	other := simRooms[s.rng.IntN(len(simRooms))]
	var one *simSession
	if len(ids) > 0 {
		one = s.sessions[ids[s.rng.IntN(len(ids))]]
	}
	padding := strings.Repeat("x", s.rng.IntN(1500))
	event := func(emit func(number int) error, to func(*simSession) bool, all bool) {
		s.last++
		s.totals.events++
		_ = emit(s.last)
		if all {
			s.common = append(s.common, s.last)
		}
		for _, session := range s.sessions {
			if to(session) {
				session.due = append(session.due, s.last)
			}
		}
	}
	switch k := s.rng.IntN(100); {
	case k < 25:
		event(func(i int) error { return n.Emit("e", i, padding) }, func(*simSession) bool { return true }, true)
	case k < 40:
		event(func(i int) error { return n.To(room).Emit("e", i) }, func(o *simSession) bool { return o.rooms[room] }, false)
	case k < 50:
		event(func(i int) error { return n.To(room, other).Emit("e", i) }, func(o *simSession) bool { return o.rooms[room] || o.rooms[other] }, false)
	case k < 58:
		event(func(i int) error { return n.Except(room).Emit("e", i) }, func(o *simSession) bool { return !o.rooms[room] }, true)
	case k < 64:
		_ = n.Volatile().Emit("v", s.rng.IntN(1<<30), "text")
	case one == nil:
	case k < 76:
		from := one.socket
		if s.rng.IntN(3) == 0 {
			from = one.old
		}
		event(func(i int) error { return from.Emit("e", i, "text") }, func(o *simSession) bool { return o == one }, false)
	case k < 80:
		ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Millisecond)
		go func() { // ends with ctx
			defer cancel()
			_, _ = n.EmitWithAck(ctx, "ask", "text")
		}()
	case k < 88:
		one.socket.Join(room)
		one.rooms[room] = true
	case k < 94:
		_ = n.To(one.socket.ID()).SocketsLeave(room)
		delete(one.rooms, room)
	case k < 98:
		one.data++
		one.socket.SetData(one.data)
	default:
		one.out = true
		one.socket.Disconnect(s.rng.IntN(2) == 0)
	}
}

// A simClient is a client that loses its connection again and again.
type simClient struct {
	*sim
	visitor
	name     int
	rng      *rand.Rand
	received []int           // durable events of this session
	volatile map[string]bool // that came
}

// open connects, and looks at what has become of its session.
func (c *simClient) open() bool {
	before, pid := c.sid, c.pid
	c.sim.mu.Lock()
	session := c.sessions[before]
	out := session != nil && session.out
	c.sim.mu.Unlock()
	if err := c.connect(c.pipes); err != nil {
		c.fail("client %d: %v", c.name, err)
		return false
	}
	c.sim.mu.Lock()
	c.totals.connections++
	if c.recovered {
		c.totals.recovered++
	} else if pid != "" {
		c.totals.fresh++
	}
	c.sim.mu.Unlock()
	if c.recovered != (before == c.sid) && pid != "" {
		c.fail("client %d: recovered %v, id %s, before %s", c.name, c.recovered, c.sid, before)
	}
	if c.recovered && out {
		c.fail("client %d is recovered, though put out", c.name)
	}
	if !c.recovered {
		c.check(before, false)
		c.received, c.volatile = nil, make(map[string]bool)
	}
	return true
}

// listen takes as many packets, fewer if the connection ends or for half a
// second nothing comes.
func (c *simClient) listen(n int) {
	idle := time.AfterFunc(500*time.Millisecond, c.cut)
	defer idle.Stop()
	for ; n > 0; n-- {
		packet, err := c.next()
		if err != nil {
			return
		}
		idle.Reset(500 * time.Millisecond)
		c.take(packet)
	}
}

// take does with a packet what socket.io-client does.
func (c *simClient) take(packet string) {
	var args []any
	body, event := strings.CutPrefix(packet, "42")
	if !event || json.Unmarshal([]byte(body), &args) != nil || args[0] == "ask" {
		if packet != "41" && !(event && strings.Contains(body, `["ask"`)) {
			c.fail("client %d: got %q", c.name, packet)
		}
		return
	}
	number := fmt.Sprint(int(args[1].(float64)))
	if args[0] == "v" {
		if c.volatile[number] {
			c.fail("client %d: volatile event %s came twice", c.name, number)
		}
		c.volatile[number] = true
	} else {
		i, _ := strconv.Atoi(number)
		c.received = append(c.received, i)
	}
	if offset, ok := args[len(args)-1].(string); ok {
		c.offset = offset
	}
}

// freeze leaves the connection open, as far as the server knows, and hears
// nothing more by it.
func (c *simClient) freeze() {
	c.sim.mu.Lock()
	c.totals.fences++
	c.sim.mu.Unlock()
	c.abandon(c.name, c.fail)
}

// check holds what came against what was due; at the end all must have come.
func (c *simClient) check(id string, end bool) {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	session := c.sessions[id]
	if session == nil || len(c.received) == 0 && !end {
		return
	}
	start := session.admitted
	if len(c.received) > 0 {
		start = slices.Index(session.due, c.received[0])
	}
	switch {
	case start < 0 || start > session.admitted:
		c.t.Errorf("client %d begins with %v, due were %v from %d on", c.name, c.received, session.due, session.admitted)
	case start+len(c.received) > len(session.due) || !slices.Equal(session.due[start:start+len(c.received)], c.received):
		c.t.Errorf("client %d got %v, due were %v", c.name, c.received, session.due[start:])
	case end && !session.out && start+len(c.received) < len(session.due):
		c.t.Errorf("client %d got %v in the end, due were %v", c.name, c.received, session.due[start:])
	}
}

// settle connects for good and takes all that is still to come.
func (c *simClient) settle() {
	if !c.open() {
		return
	}
	c.listen(1 << 20) // ends when nothing comes
	c.check(c.sid, true)
}

// end looks at what is left when all have gone.
func (s *sim) end(clients []*simClient) {
	for _, c := range clients {
		c.cut()
	}
	time.Sleep(10 * time.Minute)
	synctest.Wait()
	if got := s.RecoveryStats(); got != (socketio.RecoveryStats{}) {
		s.fail("kept in the end: %+v", got)
	}
	now := s.counted()
	causes := 0
	for _, n := range now.notRecovered {
		causes += n
	}
	lapsed := 0
	for _, n := range now.lapsed {
		lapsed += n
	}
	for _, never := range []socketio.Unrecovered{socketio.UnrecoveredMalformed, socketio.UnrecoveredOffset, socketio.UnrecoveredOvertaken} {
		if n := now.notRecovered[never]; n != 0 {
			s.fail("%d clients who tell the truth were not recovered: %s", n, never)
		}
	}
	if causes != s.totals.fresh {
		s.fail("%d clients were not recovered, %d causes counted: %v", s.totals.fresh, causes, now.notRecovered)
	}
	if now.recovered != s.totals.recovered {
		s.fail("%d clients were recovered, %d counted", s.totals.recovered, now.recovered)
	}
	if now.parked != now.recovered+lapsed {
		s.fail("%d sockets were parked, %d recovered, %d lapsed", now.parked, now.recovered, lapsed)
	}
	if n := s.Of("/").Len(); n != 0 {
		s.fail("%d sockets in the end", n)
	}
}
