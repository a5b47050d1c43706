package adapter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/adapter/adaptertest"
)

// asText is LogOptions.Build for sockets that take a packet as text.
func asText(data []byte, _ adapter.Position, _ []byte, _ bool) (any, int) {
	return string(data), len(data)
}

// record returns a Local that keeps a Log, and the Log.
func record(t testing.TB, opts adapter.JournalOptions) (*adapter.Local, *adapter.Log) {
	t.Helper()
	j := adapter.NewJournal(opts)
	t.Cleanup(j.Close)
	l := adapter.NewLocal()
	return l, l.Record(j, adapter.LogOptions{Build: asText})
}

// An adapter that keeps a log is one like any other.
func TestRecorderContract(t *testing.T) {
	recorded := func(t *testing.T, all ...adapter.Adapter) []adapter.Adapter {
		for _, a := range all {
			j := adapter.NewJournal(adapter.JournalOptions{})
			t.Cleanup(j.Close)
			a.(adapter.Recorder).Record(j, adapter.LogOptions{Build: asText})
		}
		return all
	}
	t.Run("local", func(t *testing.T) {
		adaptertest.Run(t, func(t *testing.T) []adapter.Adapter { return recorded(t, adapter.NewLocal()) })
	})
	t.Run("cluster", func(t *testing.T) {
		adaptertest.Run(t, func(t *testing.T) []adapter.Adapter {
			var all []adapter.Adapter
			for _, b := range openBuses(t, 3) {
				all = append(all, newCluster(b).Namespace("/"))
			}
			return recorded(t, all...)
		})
	})
}

// listener is a Socket that keeps what it is handed.
type listener struct {
	id    adapter.SocketID
	heard []string
	at    []adapter.Position
}

func (s *listener) ID() adapter.SocketID { return s.id }
func (s *listener) Disconnect(bool)      {}
func (s *listener) Info() []byte         { return []byte(s.id) }

func (s *listener) Deliver(p *adapter.Packet) bool {
	s.heard = append(s.heard, p.Shared(nil).(string))
	s.at = append(s.at, p.Position())
	return true
}

func add(l *adapter.Local, rooms ...adapter.Room) *listener {
	s := &listener{id: l.NewID()}
	l.Add(s, rooms...)
	return s
}

func packet(text string) *adapter.Packet { return &adapter.Packet{Data: []byte(text)} }

func missed(t *testing.T, g *adapter.Log, s *listener, behind adapter.Position) []string {
	t.Helper()
	var texts []string
	g.Sequence(func() {
		packets, err := g.Missed(s.id, behind, 1000)
		if err != nil {
			t.Error(err)
		}
		for _, p := range packets {
			texts = append(texts, p.Shared(nil).(string))
		}
	})
	return texts
}

// What a socket missed behind a position is what it was handed since, however
// its rooms have changed.
func TestLogMissed(t *testing.T) {
	l, g := record(t, adapter.JournalOptions{})
	a, b := add(l, "a", "both"), add(l, "b", "both")
	start := g.Head()
	say := func(target adapter.Target) { _ = l.Broadcast(target, packet(fmt.Sprint(target.Rooms, target.Except))) }
	rooms := func(r ...adapter.Room) []adapter.Room { return r }
	targets := []adapter.Target{
		{},
		{Rooms: rooms("a")},
		{Rooms: rooms("b")},
		{Rooms: rooms("a", "b")},
		{Rooms: rooms("both"), Except: rooms("a")},
		{Except: rooms("b", "x")},
		{Rooms: rooms("x", "y")},
		{Rooms: rooms(adapter.Room(b.id))},
		{Except: rooms(adapter.Room(a.id))},
	}
	for _, change := range []func(){
		func() {},
		func() { l.Join(a.id, "x", "b") },
		func() { l.Leave(a.id, "a", "nowhere") },
		func() { g.Park(a.id) },
		func() { _ = l.JoinAll(adapter.Target{Rooms: rooms("both")}, "y", "both") },
		func() { _ = l.LeaveAll(adapter.Target{}, "x", "y") },
		func() { g.Return(a.id) },
		func() { l.Join(a.id, "a") },
	} {
		change()
		for _, target := range targets {
			say(target)
		}
		g.Post(a.id, packet("to a"))
		_ = l.Broadcast(adapter.Target{}, &adapter.Packet{Data: []byte("volatile"), Volatile: true})
	}
	for _, s := range []*listener{a, b} {
		kept := slices.DeleteFunc(slices.Clone(s.heard), func(text string) bool { return text == "volatile" })
		if len(kept) < 30 {
			t.Fatalf("heard %d packets", len(kept))
		}
		if got := missed(t, g, s, start); !slices.Equal(got, kept) {
			t.Errorf("missed from the start %q\nwas handed %q", got, kept)
		}
		at := slices.DeleteFunc(slices.Clone(s.at), func(p adapter.Position) bool { return p == 0 })
		for i, p := range at {
			if got := missed(t, g, s, p); !slices.Equal(got, kept[i+1:]) {
				t.Errorf("missed behind packet %d: %q\nwas handed %q", i, got, kept[i+1:])
			}
		}
	}
}

// A Log gives up the oldest packets when there is no more room, of the namespace
// or of the node, and says so.
func TestLogBounds(t *testing.T) {
	j := adapter.NewJournal(adapter.JournalOptions{MaxBytes: 10_000, MaxTotal: 15_000})
	defer j.Close()
	evicted := make([]int, 2)
	var ls [2]*adapter.Local
	var gs [2]*adapter.Log
	var ss [2]*listener
	for i := range ls {
		ls[i] = adapter.NewLocal()
		gs[i] = ls[i].Record(j, adapter.LogOptions{Build: asText, Evicted: func(n int) { evicted[i] += n }})
		ss[i] = add(ls[i])
	}
	text := strings.Repeat("x", 500)
	start := gs[0].Head()
	for range 5 {
		gs[0].Post(ss[0].id, packet(text))
	}
	if got := missed(t, gs[0], ss[0], start); len(got) != 5 || evicted[0] != 0 {
		t.Errorf("%d packets are kept, %d were given up", len(got), evicted[0])
	}
	for range 100 {
		gs[1].Post(ss[1].id, packet(text))
	}
	if gs[1].Bytes() > 10_000 || gs[1].Len() < 5 || evicted[1] != 100-gs[1].Len() {
		t.Errorf("%d bytes, %d entries are kept, %d were given up", gs[1].Bytes(), gs[1].Len(), evicted[1])
	}
	if evicted[0] != 0 {
		t.Error("a noisy namespace cost a quiet one its packets")
	}
	for range 20 {
		gs[0].Post(ss[0].id, packet(text))
	}
	if j.Bytes() > 15_000 || j.Bytes() != gs[0].Bytes()+gs[1].Bytes() {
		t.Errorf("%d bytes are kept, %d and %d", j.Bytes(), gs[0].Bytes(), gs[1].Bytes())
	}
	gs[0].Sequence(func() {
		if _, err := gs[0].Missed(ss[0].id, start, 1000); !errors.Is(err, adapter.ErrTrimmed) {
			t.Errorf("got %v, want ErrTrimmed", err)
		}
		if _, err := gs[0].Missed(ss[0].id, gs[0].Head()-8, 2); !errors.Is(err, adapter.ErrTooMuch) {
			t.Errorf("got %v, want ErrTooMuch", err)
		}
	})
	gs[0].Post(ss[0].id, packet(strings.Repeat("x", 20_000))) // more than may be kept at all
	if gs[0].Len() != 0 {
		t.Errorf("%d entries are kept", gs[0].Len())
	}
	for _, l := range ls {
		_ = l.Close()
	}
	if j.Bytes() != 0 {
		t.Errorf("%d bytes are kept of what was closed", j.Bytes())
	}
}

// What was kept long enough goes, though nothing follows it.
func TestLogExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, g := record(t, adapter.JournalOptions{Retention: time.Minute})
		s := add(l)
		start := g.Head()
		g.Post(s.id, packet("1"))
		time.Sleep(50 * time.Second)
		g.Post(s.id, packet("2"))
		if got := missed(t, g, s, start); len(got) != 2 {
			t.Errorf("kept %q", got)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if g.Len() != 1 {
			t.Errorf("%d entries are kept, want the second alone", g.Len())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if g.Len() != 0 || g.Bytes() != 0 {
			t.Errorf("%d entries of %d bytes are kept", g.Len(), g.Bytes())
		}
		l.Broadcast(adapter.Target{}, packet("3")) // and once more
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if g.Len() != 0 {
			t.Errorf("%d entries are kept", g.Len())
		}
	})
}

// What no socket of the node was to get is not kept.
func TestLogKeepsWhatConcerns(t *testing.T) {
	l, g := record(t, adapter.JournalOptions{})
	add(l, "here")
	_ = l.Broadcast(adapter.Target{Rooms: []adapter.Room{"elsewhere"}}, packet("x"))
	_ = l.Broadcast(adapter.Target{Except: []adapter.Room{"here"}}, packet("x"))
	if known, _ := g.Post("nobody", packet("x")); known || g.Len() != 0 {
		t.Errorf("%d entries are kept, Post to nobody: %v", g.Len(), known)
	}
}

// A packet may be broadcast again, by many at a time: what is kept is a copy.
func TestLogPacketAgain(t *testing.T) {
	l, g := record(t, adapter.JournalOptions{})
	s := add(l)
	start := g.Head()
	p := packet("x")
	_ = l.Broadcast(adapter.Target{}, p)
	_ = l.Broadcast(adapter.Target{}, p)
	if got := missed(t, g, s, start); len(got) != 2 || p.Position() != 0 {
		t.Errorf("missed %q, the caller's Packet is at %d", got, p.Position())
	}
}

// A parked socket is in its rooms, and nobody finds or counts it; the bound
// holds for rooms that it joins and leaves meanwhile, too.
func TestAway(t *testing.T) {
	l, g := record(t, adapter.JournalOptions{})
	a, b := add(l, "r", "alone"), add(l, "r")
	want := func(infos, inR int, rooms map[adapter.Room]int) {
		t.Helper()
		found, _ := l.Fetch(context.Background(), adapter.Target{})
		n, _ := l.Count(context.Background(), adapter.Target{Rooms: []adapter.Room{"r"}})
		all, _ := l.AllRooms(context.Background())
		if len(found) != infos || n != inR || fmt.Sprint(all) != fmt.Sprint(rooms) {
			t.Errorf("found %d, counted %d in r, rooms %v; want %d, %d, %v", len(found), n, all, infos, inR, rooms)
		}
	}
	type sizes = map[adapter.Room]int
	want(2, 2, sizes{"r": 2, "alone": 1})
	g.Park(a.id)
	g.Park(a.id)
	want(1, 1, sizes{"r": 1})
	l.Join(a.id, "new")
	l.Leave(a.id, "alone")
	l.Join(b.id, "new", adapter.Room(a.id))
	want(1, 1, sizes{"r": 1, "new": 1, adapter.Room(a.id): 1})
	g.Return(a.id)
	want(2, 2, sizes{"r": 2, "new": 2, adapter.Room(a.id): 2})
	g.Park(a.id)
	l.Remove(a.id)
	want(1, 1, sizes{"r": 1, "new": 1, adapter.Room(a.id): 1})
	g.Park("nobody")
}

func TestRecordedBroadcastAllocatesNothingPerSocket(t *testing.T) {
	allocs := make(map[int]float64)
	for _, n := range []int{10, 5_000} {
		l, _ := record(t, adapter.JournalOptions{MaxBytes: 1 << 20})
		for range n {
			l.Add(&sink{l.NewID()}, "r")
		}
		target, p := adapter.Target{Rooms: []adapter.Room{"r"}}, packet("x")
		for range 5_000 { // the ring has grown
			_ = l.Broadcast(target, p)
		}
		allocs[n] = testing.AllocsPerRun(20, func() { _ = l.Broadcast(target, p) })
	}
	if allocs[5_000] > allocs[10]+30 {
		t.Errorf("%v allocations for 5,000 sockets, %v for 10", allocs[5_000], allocs[10])
	}
	t.Logf("%v allocations for 5,000 sockets, %v for 10", allocs[5_000], allocs[10])
}

// BenchmarkRecordedBroadcast is BenchmarkLocalBroadcast with a Log.
func BenchmarkRecordedBroadcast(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint("room/", n), func(b *testing.B) {
			l, _ := record(b, adapter.JournalOptions{})
			for range n {
				l.Add(&sink{l.NewID()}, "r", "q")
			}
			target, p := adapter.Target{Rooms: []adapter.Room{"r"}}, packet("x")
			b.ReportAllocs()
			for b.Loop() {
				_ = l.Broadcast(target, p)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/socket")
		})
	}
}

// BenchmarkMissed is the replay of a client that was away while 1,000 packets a
// second were sent, one in ten of them for it.
func BenchmarkMissed(b *testing.B) {
	for _, seconds := range []int{2, 30} {
		b.Run(fmt.Sprint(seconds, "s"), func(b *testing.B) {
			l, g := record(b, adapter.JournalOptions{})
			id := l.NewID()
			l.Add(&sink{id}, "r0")
			l.Add(&sink{l.NewID()}, "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9")
			start := g.Head()
			for i := range seconds * 1000 {
				_ = l.Broadcast(adapter.Target{Rooms: []adapter.Room{adapter.Room(fmt.Sprint("r", i%10))}}, packet("x"))
			}
			for b.Loop() {
				if got, err := g.Missed(id, start, 1<<20); err != nil || len(got) != seconds*100 {
					b.Fatal(len(got), err)
				}
			}
		})
	}
}

// All that a kept packet takes, beside what Build makes, is a Packet of the Log's own.
func TestRecordAllocations(t *testing.T) {
	l := adapter.NewLocal()
	j := adapter.NewJournal(adapter.JournalOptions{MaxBytes: 64 << 10})
	t.Cleanup(j.Close)
	form := new(int)
	build := func([]byte, adapter.Position, []byte, bool) (any, int) { return form, 1 }
	l.Record(j, adapter.LogOptions{Build: build})
	l.Add(&sink{l.NewID()}, "r")
	target, p := adapter.Target{Rooms: []adapter.Room{"r"}}, packet("x")
	for range 1_000 { // the ring has grown
		_ = l.Broadcast(target, p)
	}
	if n := testing.AllocsPerRun(100, func() { _ = l.Broadcast(target, p) }); n > 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}
