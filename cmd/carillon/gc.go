package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
)

// How much garbage may gather before it is collected, beside what lives: an
// allowance that makes collections rare where little lives, and a share that
// keeps memory down where much does, as tens of thousands of idle clients. Go's
// default, as much again as lives but 4 MiB at least, is the wrong way round
// for a server.
const (
	garbageFloor = 24 << 20
	garbageShare = 50 // percent
)

// gcPercent is the percentage for debug.SetGCPercent by which as much garbage
// may gather as should.
func gcPercent(live uint64) int {
	if live == 0 {
		live = 1
	}
	percent := uint64(garbageFloor) * 100 / live
	return int(min(max(percent, garbageShare), 1000))
}

// tuneMemory sets when the garbage collector runs, unless GOGC does, and, from
// the limit of a container, when it has to hurry, unless GOMEMLIMIT does.
func tuneMemory(environ []string) {
	set := func(name string) bool {
		for _, v := range environ {
			if strings.HasPrefix(v, name+"=") && len(v) > len(name)+1 {
				return true
			}
		}
		return false
	}
	if !set("GOMEMLIMIT") {
		if text, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil { // version 2; there is no other way to know
			if limit := memoryLimit(string(text)); limit > 0 {
				debug.SetMemoryLimit(limit)
			}
		}
	}
	if !set("GOGC") {
		new(collections).watch()
	}
}

// memoryLimit is what Go may use of a control group's memory.max: nine tenths
// of it, or 0 for "max", which is no limit.
func memoryLimit(text string) int64 {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil || n > math.MaxInt64 {
		return 0
	}
	return int64(n / 10 * 9)
}

// collections adjusts the percentage after each collection.
type collections struct{ percent int }

// watch has itself called with the end of the next collection: no other way to
// be told costs nothing in between.
func (c *collections) watch() {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(samples)
	live := samples[0].Value.Uint64() + samples[1].Value.Uint64() // Go counts both
	// Each change stops the world for a moment.
	if want := gcPercent(live); abs(want-c.percent) > c.percent/8 {
		c.percent = want
		debug.SetGCPercent(want)
	}
	sentinel := new(struct{ _ [16]byte })
	runtime.SetFinalizer(sentinel, func(*struct{ _ [16]byte }) { c.watch() })
}

func abs(n int) int { return max(n, -n) }
