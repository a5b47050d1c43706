package adapter_test

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"github.com/carillonhq/carillon/adapter"
)

// sink is a Socket that costs nothing.
type sink struct{ id adapter.SocketID }

func (s *sink) ID() adapter.SocketID         { return s.id }
func (s *sink) Deliver(*adapter.Packet) bool { return true }
func (s *sink) Disconnect(bool)              {}
func (s *sink) Info() []byte                 { return nil }

// full returns a Local with n sockets, all of them in rooms.
func full(n int, rooms ...adapter.Room) *adapter.Local {
	l := adapter.NewLocal()
	for range n {
		l.Add(&sink{l.NewID()}, rooms...)
	}
	return l
}

// What a broadcast allocates does not depend on how many sockets receive it,
// whatever they are selected by.
func TestBroadcastAllocatesNothingPerSocket(t *testing.T) {
	var many []adapter.Room
	for i := range 30 {
		many = append(many, adapter.Room(fmt.Sprint("r", i)))
	}
	for name, target := range map[string]adapter.Target{
		"all":        {},
		"one room":   {Rooms: many[:1]},
		"two rooms":  {Rooms: many[:2]},
		"many rooms": {Rooms: many},
		"except":     {Rooms: many[:3], Except: append([]adapter.Room{"nobody"}, many[20:]...)},
		"volatile":   {Rooms: many[:1]},
	} {
		t.Run(name, func(t *testing.T) {
			p := &adapter.Packet{Data: []byte("x"), Volatile: name == "volatile"}
			allocs := make(map[int]float64)
			for _, n := range []int{10, 5_000} {
				l := full(n, many[:15]...)
				l.Broadcast(target, p) // the scratch space grows once
				allocs[n] = testing.AllocsPerRun(20, func() { l.Broadcast(target, p) })
			}
			// With the race detector scratch space is dropped now and then,
			// and grows anew, by doubling.
			if allocs[5_000] > allocs[10]+30 {
				t.Errorf("%v allocations for 5,000 sockets, %v for 10", allocs[5_000], allocs[10])
			}
			t.Logf("%v allocations for 5,000 sockets, %v for 10", allocs[5_000], allocs[10])
		})
	}
}

func BenchmarkLocalBroadcast(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		l := full(n, "r", "q")
		for name, t := range map[string]adapter.Target{
			"all":      {},
			"room":     {Rooms: []adapter.Room{"r"}},
			"tworooms": {Rooms: []adapter.Room{"r", "q"}},
			"except":   {Rooms: []adapter.Room{"r"}, Except: []adapter.Room{"none", adapter.Room(l.NewID())}},
		} {
			b.Run(fmt.Sprint(name, "/", n), func(b *testing.B) {
				p := &adapter.Packet{Data: []byte("x")}
				b.ReportAllocs()
				for b.Loop() {
					l.Broadcast(t, p)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/socket")
			})
		}
	}
}

// Broadcasts of several goroutines to a small room each: what the lock costs.
func BenchmarkLocalBroadcastParallel(b *testing.B) {
	l := full(1000)
	for i := range 100 {
		l.Add(&sink{l.NewID()}, adapter.Room(strconv.Itoa(i%10)))
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		p := &adapter.Packet{Data: []byte("x")}
		for i := 0; pb.Next(); i++ {
			l.Broadcast(adapter.Target{Rooms: []adapter.Room{adapter.Room(strconv.Itoa(i % 10))}}, p)
		}
	})
}

func BenchmarkLocalJoinLeave(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			l := full(n, "r")
			s := &sink{l.NewID()}
			l.Add(s)
			b.ReportAllocs()
			for b.Loop() {
				l.Join(s.id, "r")
				l.Leave(s.id, "r")
			}
		})
	}
}

func BenchmarkLocalAddRemove(b *testing.B) {
	l := full(1000, "r")
	s := &sink{l.NewID()}
	b.ReportAllocs()
	for b.Loop() {
		l.Add(s, "r")
		l.Remove(s.id)
	}
}

// The memory of a socket that is in no room, and of each room that it is in,
// without the id and what else the layer above keeps.
func BenchmarkLocalMemory(b *testing.B) {
	const n = 100_000
	shared := make([]adapter.Room, 100)
	for i := range shared {
		shared[i] = adapter.Room(fmt.Sprint("room ", i))
	}
	ids := make([]sink, n)
	for i := range ids {
		ids[i].id = adapter.NewLocal().NewID()
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for _, rooms := range []int{0, 1, 4, 16, 100} {
		b.Run(fmt.Sprint("rooms=", rooms), func(b *testing.B) {
			for b.Loop() {
				before := heap()
				l := adapter.NewLocal()
				for i := range ids {
					l.Add(&ids[i], shared[:rooms]...)
				}
				b.ReportMetric(float64(heap()-before)/n, "B/socket")
				runtime.KeepAlive(l)
			}
		})
	}
	b.Run("own-rooms", func(b *testing.B) { // each socket in a room that nobody else is in
		for b.Loop() {
			before := heap()
			l := adapter.NewLocal()
			for i := range ids {
				l.Add(&ids[i], adapter.Room("u:"+ids[i].id))
			}
			b.ReportMetric(float64(heap()-before)/n, "B/socket")
			runtime.KeepAlive(l)
		}
	})
}
