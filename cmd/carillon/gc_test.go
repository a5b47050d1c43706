package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0:         1000,
		1 << 20:   1000,
		20 << 20:  200,
		40 << 20:  100,
		80 << 20:  50,
		480 << 20: 50,
	} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d bytes alive: got %d%%, want %d%%", live, got, want)
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	for text, want := range map[string]int64{
		"max\n": 0, "": 0, "1000000000\n": 900000000, "18446744073709551615": 0,
	} {
		if got := memoryLimit(text); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

// After a storm, what it took goes back to the system.
func TestGiveBack(t *testing.T) {
	storm := make([][]byte, 64<<10)
	for i := range storm {
		storm[i] = make([]byte, 1024)
	}
	before := readMetric("/memory/classes/heap/released:bytes")
	runtime.KeepAlive(storm)
	storm = nil
	runtime.GC() // one that saw the storm alive may have been the last
	giveBack()
	if after := readMetric("/memory/classes/heap/released:bytes"); after < before+(32<<20) {
		t.Errorf("%d bytes were given back before and %d after, want 32 MiB more at least", before, after)
	}
	if free := readMetric("/memory/classes/heap/free:bytes"); free > 8<<20 {
		t.Errorf("%d bytes are free and not given back", free)
	}
}

// The percentage follows what lives, from collection to collection.
func TestCollections(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	c := new(collections)
	c.watch()
	held := make([]byte, 200<<20)
	for range 3 { // until what was read is of a collection that saw it
		runtime.GC()
	}
	percent := 0
	for deadline := time.Now().Add(30 * time.Second); percent != garbageShare && time.Now().Before(deadline); runtime.GC() {
		percent = debug.SetGCPercent(100)
		debug.SetGCPercent(percent)
	}
	if percent != garbageShare {
		t.Errorf("got %d%%, want %d%%", percent, garbageShare)
	}
	runtime.KeepAlive(held)
}
