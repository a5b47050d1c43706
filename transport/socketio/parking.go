package socketio

import (
	"container/list"
	"sync"
	"time"
)

// parking are the seats whose clients are away, in the order in which they
// went, which is that in which their time is over.
type parking struct {
	window time.Duration
	max    int
	calls  sync.WaitGroup // of expire

	mu     sync.Mutex // guards all below, and seat.place and seat.until
	seats  list.List  // of *seat
	timer  *time.Timer
	closed bool
}

func (p *parking) init(window time.Duration, limit int) { p.window, p.max = window, limit }

// add takes in a seat, whose client went a while ago, and returns one that has to
// go for it, or nil. That is the seat itself after close. It is called under a.mu.
func (p *parking) add(a *seat, away time.Duration) *seat {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return a
	}
	a.until = time.Now().Add(p.window - away)
	after := p.seats.Back()
	for away > 0 && after != nil && after.Value.(*seat).until.After(a.until) {
		after = after.Prev()
	}
	if after != nil {
		a.place = p.seats.InsertAfter(a, after)
	} else {
		a.place = p.seats.PushFront(a)
	}
	if p.timer == nil {
		p.arm(p.window - away)
	} else if after == nil && p.timer.Stop() {
		p.calls.Done()
		p.arm(p.window - away)
	}
	if p.seats.Len() <= p.max {
		return nil
	}
	return p.take(p.seats.Front())
}

// remove undoes add.
func (p *parking) remove(a *seat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.place != nil {
		p.take(a.place)
	}
}

// take needs mu.
func (p *parking) take(e *list.Element) *seat {
	a := p.seats.Remove(e).(*seat)
	a.place = nil
	return a
}

// arm needs mu.
func (p *parking) arm(d time.Duration) {
	p.calls.Add(1)
	p.timer = time.AfterFunc(max(d, time.Microsecond), func() {
		defer p.calls.Done()
		for _, a := range p.expired() {
			a.drop(LapseExpired)
		}
	})
}

// expired takes out the seats whose time is over.
func (p *parking) expired() (over []*seat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = nil
	for e := p.seats.Front(); e != nil; e = p.seats.Front() {
		if d := time.Until(e.Value.(*seat).until); d > 0 {
			if !p.closed {
				p.arm(d)
			}
			break
		}
		over = append(over, p.take(e))
	}
	return over
}

// away returns for how long the client of a seat has been away.
func (p *parking) away(a *seat) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(a.until.Add(-p.window))
}

// over reports whether a seat's time is over; it may have been taken, and
// parked once more, since it was.
func (p *parking) over(a *seat) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !time.Now().Before(a.until)
}

// close takes no more seats and returns those that there are.
func (p *parking) close() (left []*seat) {
	p.mu.Lock()
	p.closed = true
	for e := p.seats.Front(); e != nil; e = p.seats.Front() {
		left = append(left, p.take(e))
	}
	if p.timer != nil && p.timer.Stop() {
		p.calls.Done()
	}
	p.mu.Unlock()
	p.calls.Wait()
	return left
}

// awaits reports whether a client is away that has gone no longer ago than that.
func (p *parking) awaits(d time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.seats.Back()
	return last != nil && time.Until(last.Value.(*seat).until) > p.window-d
}

// all returns the seats, those first that came last.
func (p *parking) all() (all []*seat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := p.seats.Back(); e != nil; e = e.Prev() {
		all = append(all, e.Value.(*seat))
	}
	return all
}

func (p *parking) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seats.Len()
}
