package engineio

import (
	"sync"
	"time"
)

// An alarm is a timer whose callbacks a WaitGroup counts, so that none is
// left behind. Its methods are called under one lock, which f takes too.
type alarm struct {
	wg    *sync.WaitGroup
	f     func()
	timer *time.Timer
}

// set makes f be called after d, instead of when it was set for. A call that
// has begun already is not undone: f has to look again.
func (a *alarm) set(d time.Duration) {
	if a.timer == nil {
		a.wg.Add(1)
		a.timer = time.AfterFunc(d, func() {
			defer a.wg.Done()
			a.f()
		})
	} else if !a.timer.Reset(d) {
		a.wg.Add(1)
	}
}

func (a *alarm) stop() {
	if a.timer != nil && a.timer.Stop() {
		a.wg.Done()
	}
}
