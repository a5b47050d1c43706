package bench

import (
	"runtime"
	"syscall"
	"time"
)

// precise returns a sleep for the calling goroutine, which it takes a thread
// of its own for: the runtime's timers are late by up to a millisecond where
// nothing else goes on, and that would count as latency.
func precise() func(time.Duration) {
	runtime.LockOSThread()                                     // until the goroutine ends, and the thread with it
	const setTimerSlack = 29                                   // PR_SET_TIMERSLACK of prctl(2)
	syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, 1, 0) // 1ns; without it, 50µs
	return func(d time.Duration) {
		t := syscall.NsecToTimespec(int64(d))
		_ = syscall.Nanosleep(&t, nil) // cut short by a signal, pace sleeps again
	}
}
