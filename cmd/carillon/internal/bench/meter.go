package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// A meter reads what processes have used, from /proc.
type meter struct {
	pids []int
	self int
}

func newMeter(pids []int) (*meter, error) {
	m := &meter{pids: pids, self: os.Getpid()}
	for _, pid := range pids {
		if _, err := usageOf(pid); err != nil {
			return nil, fmt.Errorf("process %d: %w", pid, err)
		}
	}
	return m, nil
}

// usage is what a process has used so far.
type usage struct {
	cpu time.Duration // of user and system
	rss int64         // bytes in memory
}

// A reading is the usage of all processes at one time.
type reading struct {
	at      time.Time
	self    usage
	servers []usage // those of processes that have ended are zero
}

func (m *meter) read() reading {
	r := reading{at: time.Now(), servers: make([]usage, len(m.pids))}
	r.self, _ = usageOf(m.self) // zero where there is no /proc
	for i, pid := range m.pids {
		r.servers[i], _ = usageOf(pid)
	}
	return r
}

// tick is the unit of times in /proc: user programs see 100 in a second on
// every architecture of Linux.
const tick = time.Second / 100

// usageOf reads /proc/pid/stat (proc(5)).
func usageOf(pid int) (u usage, err error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return u, err
	}
	// The name, second, is in parentheses and may hold anything.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 22 {
		return u, fmt.Errorf("unexpected %q", data)
	}
	number := func(field int) int64 { // by its number in proc(5)
		n, bad := strconv.ParseInt(fields[field-3], 10, 64)
		if bad != nil {
			err = bad
		}
		return n
	}
	u.cpu = time.Duration(number(14)+number(15)) * tick
	u.rss = number(24) * int64(os.Getpagesize())
	return u, err
}
