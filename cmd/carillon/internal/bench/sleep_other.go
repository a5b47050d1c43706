//go:build !linux

package bench

import "time"

// precise returns a sleep for the calling goroutine.
func precise() func(time.Duration) { return time.Sleep }
