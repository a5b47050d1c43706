package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// How much garbage may gather before it is collected, beside what lives: an
// allowance that makes collections rare where little lives, and a share that
// keeps memory down where much does, as tens of thousands of idle clients. Go's
// default, as much again as lives but 4 MiB at least, is the wrong way round
// for a server.
const (
	garbageFloor = 40 << 20
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

// quiet is how long there has to be no collection for memory to be given back.
// It is much longer than what is between two of them under load.
const quiet = 3 * time.Second

// spare is how much of what Go holds, and nothing lives in, is left to it for
// what comes: giving back costs a collection.
func spare(live uint64) uint64 { return max(live/8, 4<<20) }

// collections adjusts the percentage after each collection, and gives memory
// back when a storm is over, as of clients that connect: by itself Go keeps what
// it took for that until as much garbage has gathered again, which takes hours
// where clients are idle.
type collections struct {
	percent int
	calm    *time.Timer // for giveBack
}

// watch has itself called with the end of the next collection: no other way to
// be told costs nothing in between.
func (c *collections) watch() {
	live := readMetric("/gc/heap/live:bytes") + readMetric("/memory/classes/heap/stacks:bytes") // Go counts both
	// Each change stops the world for a moment.
	if want := gcPercent(live); abs(want-c.percent) > c.percent/8 {
		c.percent = want
		debug.SetGCPercent(want)
	}
	if c.calm == nil {
		c.calm = time.AfterFunc(quiet, giveBack)
	} else {
		c.calm.Reset(quiet)
	}
	sentinel := new(struct{ _ [16]byte })
	runtime.SetFinalizer(sentinel, func(*struct{ _ [16]byte }) { c.watch() })
}

// giveBack returns memory to the system, if there is enough that nothing lives
// in. The collection that this takes has it called once more, to no effect.
func giveBack() {
	live := readMetric("/gc/heap/live:bytes")
	objects := readMetric("/memory/classes/heap/objects:bytes")
	free := readMetric("/memory/classes/heap/free:bytes")
	if objects+free > live+spare(live) {
		runtime.GC() // what sync.Pools hold goes with the second one
		debug.FreeOSMemory()
	}
}

func readMetric(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func abs(n int) int { return max(n, -n) }
