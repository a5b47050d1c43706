package broker_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// A long cut that the receiver did not notice costs pages of repair, one round
// trip each, and no Gap. The hooks of both ends tell of it.
func TestRepair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, repaired, repairs, bytes atomic.Int64
		x, y := pair(t, broker.Options{Hooks: broker.Hooks{
			Asked:    func(broker.Member) { asked.Add(1) },
			Repaired: func(_ broker.Member, n int) { repaired.Add(int64(n)) },
			Repair:   func(_ broker.Member, n, size int) { repairs.Add(int64(n)); bytes.Add(int64(size)) },
		}})
		y.faults.set(func(f *faults) { f.deaf = true })
		var want []string
		for i := range 500 {
			ok(t, x.Broadcast("a", fmt.Appendf(nil, "%d%01000d", i, 0)))
			want = append(want, fmt.Sprintf("x: %d%01000d", i, 0))
		}
		synctest.Wait()
		y.faults.set(func(f *faults) { f.deaf = false })
		ok(t, x.Broadcast("a", []byte("live")))
		time.Sleep(200 * time.Millisecond)
		equal(t, y.take(), append(want, "x: live")...)
		if n := repaired.Load(); n != 500 || repairs.Load() != 500 {
			t.Errorf("%d were repaired with %d messages, want 500", n, repairs.Load())
		}
		if n := asked.Load(); n < 500>>6 || n > 12 {
			t.Errorf("it was asked %d times, want about 9", n)
		}
		if n := bytes.Load(); n < 500_000 {
			t.Errorf("the repairs had %d bytes", n)
		}
	})
}

// Many holes are asked for at once, and repairs that come before earlier ones
// are kept.
func TestManyHoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		x, y := pair(t, broker.Options{Hooks: broker.Hooks{Asked: func(broker.Member) { asked.Add(1) }}})
		var want []string
		for i := range 60 {
			x.faults.set(func(f *faults) { f.mute = i%2 == 0 })
			ok(t, x.Broadcast("a", fmt.Append(nil, i)))
			synctest.Wait()
			want = append(want, fmt.Sprint("x: ", i))
		}
		time.Sleep(100 * time.Millisecond)
		equal(t, y.take(), want...)
		if n := asked.Load(); n > 2 {
			t.Errorf("it was asked %d times for 30 holes", n)
		}
	})
}

// Requests and repairs may be lost too; it takes a little longer.
func TestLostRepairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{})
		for _, n := range []*node{x, y} {
			drop := 3
			n.faults.set(func(f *faults) {
				f.lose = func(topic string, _ []byte) bool {
					if strings.Contains(topic, ".node.") {
						drop--
					}
					return strings.Contains(topic, ".node.") && drop >= 0
				}
			})
		}
		ok(t, x.Send(y.Self().ID, "a", []byte("1")))
		ok(t, x.Broadcast("a", []byte("2")))
		time.Sleep(5 * time.Second)
		equal(t, y.take(), "x: 1", "x: 2")
	})
}

// A peer that beats and never answers does not hold up its messages for ever.
func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{})
		x.faults.set(func(f *faults) { f.mute = true })
		ok(t, x.Broadcast("a", []byte("1")))
		synctest.Wait()
		x.faults.set(func(f *faults) {
			f.mute = false
			f.lose = func(topic string, _ []byte) bool { return strings.Contains(topic, ".node.") }
		})
		ok(t, x.Broadcast("a", []byte("2")))
		time.Sleep(14 * time.Second)
		equal(t, y.take())
		time.Sleep(2 * time.Second)
		equal(t, y.take(), "x gap 0-1", "x: 2")
	})
}

// When a node goes down, what it can no longer repair is a Gap before NodeDown.
func TestDownWithAHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := pair(t, broker.Options{})
		x.faults.set(func(f *faults) { f.mute = true })
		ok(t, x.Broadcast("a", []byte("1")))
		synctest.Wait()
		x.faults.set(func(f *faults) { f.mute = false })
		ok(t, x.Broadcast("a", []byte("2")))
		synctest.Wait()
		x.faults.set(func(f *faults) { f.mute = true })
		time.Sleep(7 * time.Second)
		equal(t, y.take(), "x gap 0-1", "x: 2", "x down")
		// It comes back, and may say 1 again: but that is over.
		x.faults.set(func(f *faults) { f.mute = false })
		ok(t, x.Broadcast("a", []byte("3")))
		time.Sleep(2 * time.Second)
		equal(t, y.take(), "x up", "x: 3")
	})
}

// How late things come, and how much is kept, is told.
func TestMeasures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var self, peer, kept atomic.Int64
		hub := memory.NewHub()
		x := start(t, hub, "x", broker.Options{Hooks: broker.Hooks{
			Lag: func(from broker.Member, d time.Duration) {
				if from.Name == "x" {
					self.Store(int64(d))
				} else {
					peer.Store(int64(d))
				}
			},
			Kept: func(bytes, waiting int) { kept.Store(int64(bytes)) },
		}})
		start(t, hub, "y", broker.Options{})
		time.Sleep(3 * time.Second)
		if max(self.Load(), peer.Load()) > int64(2*time.Millisecond) { // ages are in milliseconds
			t.Errorf("got lags %v and %v, want none", time.Duration(self.Load()), time.Duration(peer.Load()))
		}
		x.faults.set(func(f *faults) { f.delay = func(string) time.Duration { return 100 * time.Millisecond } })
		ok(t, x.Broadcast("a", make([]byte, 1000)))
		time.Sleep(1500 * time.Millisecond)
		for _, lag := range []*atomic.Int64{&self, &peer} {
			if d := time.Duration(lag.Load()); d < 99*time.Millisecond || d > 250*time.Millisecond { // one may wait behind another
				t.Errorf("got a lag of %v, want 100ms or a little more", d)
			}
		}
		if got := kept.Load(); got != 1128 {
			t.Errorf("%d bytes are kept, want 1128", got)
		}
	})
}

// Who missed much does not take the broker from those who say something new.
func TestRepairBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		var mu sync.Mutex // guards these two
		sent, begin := 0, time.Now()
		x := start(t, hub, "x", broker.Options{Compression: broker.Compression{Off: true}, Hooks: broker.Hooks{
			Repair: func(_ broker.Member, _, bytes int) {
				mu.Lock()
				defer mu.Unlock()
				sent += bytes
				if most := broker.RepairBurst + broker.RepairRate*time.Since(begin).Seconds() + 64<<10; float64(sent) > most {
					t.Errorf("%d bytes of repair after %v", sent, time.Since(begin))
				}
			},
		}})
		y := start(t, hub, "y", broker.Options{})
		time.Sleep(3 * time.Second)
		y.take()
		y.faults.set(func(f *faults) { f.deaf = true })
		const n = 12 << 10
		for range n {
			ok(t, x.Broadcast("a", make([]byte, 1<<10)))
		}
		synctest.Wait()
		y.faults.set(func(f *faults) { f.deaf = false })
		mu.Lock()
		begin = time.Now()
		mu.Unlock()
		time.Sleep(2 * time.Second)
		if got := len(y.take()); got == 0 || got == n {
			t.Errorf("%d messages were repaired at once, want a part of them", got)
		}
		time.Sleep(8 * time.Second)
		y.take()
		mu.Lock()
		if sent != n<<10 {
			t.Errorf("%d bytes were repaired, want %d", sent, n<<10)
		}
		mu.Unlock()
		equal(t, y.take())
		ok(t, x.Broadcast("a", []byte("new")))
		equal(t, y.take(), "x: new")
	})
}
