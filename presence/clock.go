package presence

import (
	"math/rand/v2"
	"time"
)

// lateTick is how late the clock may be before this process must have stood
// still: then what others said meanwhile has not been heard yet.
const lateTick = 400 * time.Millisecond

// keepTime does what is due, until Close.
func (t *Tracker) keepTime() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-t.kick:
		case <-t.done:
			return
		}
		timer.Reset(time.Until(t.due(time.Now())))
	}
}

// look makes the clock see a new deadline.
func (t *Tracker) look() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

type errand struct {
	to  *origin
	m   message
	all bool
}

// due does what is due at now, and returns when something will be next.
func (t *Tracker) due(now time.Time) (next time.Time) {
	t.mu.Lock()
	if !t.wake.IsZero() && now.Sub(t.wake) > lateTick {
		t.amnesty(now)
	}
	next, again := t.expireLingers(now)
	beat := !now.Before(t.nextBeat)
	made := 0
	if beat {
		h := t.opts.Heartbeat
		t.nextBeat = now.Add(h + time.Duration((rand.Float64()-0.5)*0.2*float64(h))) // ±10 %, so that nodes do not beat as one
		made, t.made = t.made, 0
	}
	next = earlier(next, t.nextBeat)
	var gone []*origin
	var ask []errand
	for _, n := range t.nodes {
		switch {
		case t.deaf: // it may be us
		case n.down && !now.Before(n.deadline):
			n.gone = true
			delete(t.nodes, n.ID)
			gone = append(gone, n)
		case n.down:
			next = earlier(next, n.deadline)
		case n.need:
			if !now.Before(n.ask) {
				m, all := t.question(n, now)
				ask = append(ask, errand{n, m, all})
			}
			next = earlier(next, n.ask)
		}
	}
	t.judge()
	beat = beat && !t.deaf
	counts := t.counts()
	if again {
		next = now
	}
	t.wake = next
	pending := t.flushed < t.self.seq
	t.mu.Unlock()

	switch {
	case beat:
		_ = t.speak(t.beat, t.toAll) // the next one will do
	case pending:
		t.flush()
	}
	for _, n := range gone {
		t.expire(n)
	}
	for _, a := range ask {
		t.askFor(a)
	}
	if h := t.opts.Hooks.Counts; h != nil && beat {
		h(counts, made)
	}
	return next
}

func (t *Tracker) askFor(a errand) {
	hook := t.opts.Hooks.Repair
	if a.all {
		hook = t.opts.Hooks.Snapshot
	}
	if hook != nil {
		hook(a.to.Member)
	}
	_ = t.speak(func() []message { return []message{a.m} }, t.toNode(a.to.ID)) // it is asked again
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
