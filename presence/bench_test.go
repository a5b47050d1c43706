package presence_test

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/presence"
)

func bench(b *testing.B, hub *memory.Hub, name string) (*broker.Bus, *presence.Tracker) {
	b.Helper()
	bus, err := broker.Open(b.Context(), hub.Open, broker.Options{Node: name, Logger: silent})
	if err != nil {
		b.Fatal(err)
	}
	t := presence.New(bus, presence.Options{Logger: silent})
	b.Cleanup(func() {
		t.Close()
		bus.Close()
	})
	return bus, t
}

// userID has 17 bytes.
func userID(i int) string { return fmt.Sprintf("user-%012d", i) }

// socketID has as many bytes as a socket's.
func socketID(i int) string { return fmt.Sprintf("sockets-%012d", i) }

func heapBytes() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// cpu returns what this process has used of all cores, which other processes
// do not make longer.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func until(b *testing.B, what string, ok func() bool) {
	b.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); {
		if time.Now().After(end) {
			b.Fatal(what)
		}
		<-time.After(time.Millisecond)
	}
}

// BenchmarkView measures a view of 1,000,000 users over 10 nodes: its memory,
// of which this node's part has its Holds, and its queries.
func BenchmarkView(b *testing.B) {
	const users, nodes = 1_000_000, 10
	before := heapBytes()
	view, err := presence.NewView(nodes)
	if err != nil {
		b.Fatal(err)
	}
	defer view.Close()
	for i := range users {
		if i%nodes > 0 {
			view.Say(i%nodes, userID(i), socketID(i), false)
		} else if _, err := view.Track(userID(i), socketID(i), presence.Meta{}); err != nil {
			b.Fatal(err)
		}
	}
	memory := float64(heapBytes()-before) / 1e6
	if got := view.Counts(); got.Users != users || got.Devices != users {
		b.Fatalf("%+v", got)
	}
	ids := make([]string, 1<<12)
	for i := range ids {
		ids[i] = userID(i * 7919 % users)
	}
	b.Run("Online", func(b *testing.B) {
		b.ReportAllocs()
		i, used := 0, cpu(b)
		for b.Loop() {
			if i++; !view.Online(ids[i%len(ids)]) {
				b.Fatal("offline")
			}
		}
		b.ReportMetric(memory, "MB")
		b.ReportMetric(float64(cpu(b)-used)/float64(i), "cpu-ns/op")
	})
	b.Run("Page", func(b *testing.B) {
		after := ""
		for b.Loop() {
			p, err := view.Page(after, 100)
			if err != nil {
				b.Fatal(err)
			}
			after = p.Next
		}
	})
	b.Run("Apply", func(b *testing.B) {
		b.ReportAllocs()
		i, used := 0, cpu(b)
		for b.Loop() {
			view.Say(1, ids[i/2%len(ids)], "another device", i%2 == 1)
			i++
		}
		b.ReportMetric(float64(cpu(b)-used)/float64(i)/1e9*10_000*100, "%core")
	})
}

// BenchmarkJoin is the time until a new node knows the 1,000,000 users of
// another, over a broker in this process. That one node tells them all makes
// it harder than if nine did, side by side.
func BenchmarkJoin(b *testing.B) {
	const users = 1_000_000
	hub := memory.NewHub()
	_, t := bench(b, hub, "old")
	t.Fill(users, func(i int) (string, string) { return userID(i), socketID(i) })
	for b.Loop() {
		start, used := time.Now(), cpu(b)
		bus, t := bench(b, hub, "new")
		until(b, "not synced", func() bool { return t.Counts().Users == users && t.State() == presence.Synced })
		b.ReportMetric(time.Since(start).Seconds(), "s/join")
		b.ReportMetric((cpu(b) - used).Seconds(), "cpu-s/join")
		b.StopTimer()
		t.Close()
		bus.Close()
		b.StartTimer()
	}
}

// BenchmarkCrowd adds one more device, and takes it away, of a user who has
// 10,000 and of one who has one.
func BenchmarkCrowd(b *testing.B) {
	for _, devices := range []int{1, 10_000} {
		b.Run(fmt.Sprint(devices), func(b *testing.B) {
			_, t := bench(b, memory.NewHub(), "a")
			for i := range devices {
				if _, err := t.Track("everybody", socketID(i), presence.Meta{}); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				h, err := t.Track("everybody", "one more", presence.Meta{})
				if err != nil {
					b.Fatal(err)
				}
				h.Leave()
			}
		})
	}
}

// BenchmarkChanges applies 10,000 changes a second of another node, each of
// them said when it is made, and reports what part of a core the whole process
// takes for that: sender, broker and receiver.
func BenchmarkChanges(b *testing.B) {
	hub := memory.NewHub()
	_, from := bench(b, hub, "a")
	_, to := bench(b, hub, "b")
	until(b, "the nodes do not find each other", func() bool { return len(to.Nodes()) == 2 && to.State() == presence.Synced })
	const rate = 10_000
	var busy, took time.Duration
	for b.Loop() {
		start, used := time.Now(), cpu(b)
		ticker := time.NewTicker(time.Millisecond)
		var hold *presence.Hold
		for sent := 0; sent < rate; {
			<-ticker.C
			for due := min(rate, int(time.Since(start).Seconds()*rate)); sent < due; sent++ {
				if hold != nil {
					hold.Leave()
					hold = nil
					continue
				}
				var err error
				if hold, err = from.Track(userID(sent), socketID(sent), presence.Meta{}); err != nil {
					b.Fatal(err)
				}
			}
		}
		ticker.Stop()
		until(b, "not applied", func() bool { return to.Counts().Users == from.Counts().Users })
		busy += cpu(b) - used
		took += time.Since(start)
	}
	b.ReportMetric(100*busy.Seconds()/took.Seconds(), "%core")
}
