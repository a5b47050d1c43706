package announce

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/carillonhq/carillon/presence"
)

// minWindow is the least time between two tellings of what is told all the
// time.
const minWindow = 100 * time.Millisecond

// frameCost is what a frame to one client may take of the time: it costs some
// 6 µs of a core, so that telling takes a third of one.
const frameCost = 20 * time.Microsecond

// budget is a gap that keeps to that, but is never longer than window.
func budget(window time.Duration) func(frames int) time.Duration {
	return func(frames int) time.Duration { return min(time.Duration(frames)*frameCost, window) }
}

// A pace gathers changes while the last ones are still being paid for. What
// comes after a quiet time is told at once.
type pace struct {
	tell func([]presence.Change) (frames int)
	gap  func(frames int) time.Duration

	wake chan struct{}
	done chan struct{} // closed by close
	wg   sync.WaitGroup

	mu      sync.Mutex // guards pending
	pending map[string]*pending
}

// pending is what became of one user since the last telling.
type pending struct {
	was  bool // online, when clients were told last
	news bool // of its status
	last presence.Change
}

func newPace(tell func([]presence.Change) int, gap func(int) time.Duration) *pace {
	p := &pace{
		tell: tell, gap: gap,
		wake: make(chan struct{}, 1), done: make(chan struct{}), pending: make(map[string]*pending),
	}
	p.wg.Go(p.run) // ends with close
	return p
}

func (p *pace) close() {
	close(p.done)
	p.wg.Wait()
}

// add has a change told, unless another one takes it back in time.
func (p *pace) add(c presence.Change) {
	p.mu.Lock()
	e := p.pending[c.User]
	if e == nil {
		e = &pending{was: c.Kind != presence.Online}
		p.pending[c.User] = e
	}
	e.news = e.news || c.Kind == presence.Updated || c.Kind == presence.Online && c.Status != ""
	e.last = c
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pace) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-p.done:
			return
		}
		select {
		case <-p.wake:
		case <-p.done:
			return
		}
		timer.Reset(p.gap(p.tell(p.take())))
	}
}

// take returns the changes that are left, in the order of their numbers.
func (p *pace) take() []presence.Change {
	p.mu.Lock()
	defer p.mu.Unlock()
	var cs []presence.Change
	for _, e := range p.pending {
		c := e.last
		switch is := c.Kind != presence.Offline; {
		case is && e.was && !e.news, !is && !e.was:
			continue // as if nothing had happened
		case is && e.was:
			c.Kind = presence.Updated
		case is:
			c.Kind = presence.Online
		}
		cs = append(cs, c)
	}
	clear(p.pending)
	slices.SortFunc(cs, func(a, b presence.Change) int { return cmp.Compare(a.Seq, b.Seq) })
	return cs
}
