package engineio

import (
	"context"
	"math/rand/v2"
	"time"
)

// A Mover is a Receiver that ends its session itself when the Server drains.
type Mover interface {
	// Move is called at most once, maybe together with other methods. It must
	// not block, and see to it that Session.GoAway is called soon: when nothing
	// is under way any more of which the client should still hear.
	Move()
}

// A Pace is how fast Drain closes sessions: evenly over Period, but no faster
// than Rate, and no slower than one in 20 ms, since few clients are no crowd,
// however long they have. The zero value is at once.
type Pace struct {
	Period time.Duration
	Rate   int // sessions a second at most. 0: any.

	// Share, if set, returns the number of servers that drain at present, this
	// one among them: those who take over have to bear all of them, so each is
	// so many times slower. It is asked before each batch.
	Share func() int
}

const (
	// drainPace is the time that Drain takes for each session at most.
	drainPace = 20 * time.Millisecond

	// drainStep is the least time between two batches.
	drainStep = 20 * time.Millisecond

	// awayTimeout bounds what GoAway does after it returned.
	awayTimeout = 2 * time.Second
)

// gap returns the time from one session to the next, of n in all.
func (p *Pace) gap(n int) time.Duration {
	gap := min(p.Period/time.Duration(n), drainPace)
	if p.Rate > 0 {
		gap = max(gap, time.Second/time.Duration(p.Rate))
	}
	if p.Share != nil {
		gap *= time.Duration(max(1, p.Share()))
	}
	return gap
}

// Drain opens no more sessions, and closes those that there are (see
// Session.GoAway), and the WebSockets here of other nodes' sessions, in random
// order, at a pace at which those who take over meet no crowd. The steps are
// jittered by half of their length. It returns when the last one was told, or
// with ctx's error; Shutdown waits for their ends.
func (s *Server) Drain(ctx context.Context, pace Pace) error {
	var all []departing
	for _, sess := range s.stop() {
		all = append(all, sess)
	}
	for _, e := range s.peering.allEdges() {
		all = append(all, e)
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	timer := time.NewTimer(0)
	defer timer.Stop()
	total, due := len(all), 1.0
	for len(all) > 0 {
		gap := pace.gap(total)
		if gap <= 0 {
			due = float64(len(all))
		}
		n := min(int(due), len(all))
		due -= float64(n)
		for _, d := range all[:n] {
			d.move()
		}
		if all = all[n:]; len(all) == 0 {
			break
		}
		step := max(gap, drainStep)
		due += float64(step) / float64(gap)
		timer.Reset(step/2 + rand.N(step))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.peering.leave()
	return nil
}

// A departing is a client of this node: a Session, or a WebSocket here of another
// node's session.
type departing interface {
	move() // tells it to go elsewhere
}

// move has the Receiver end the session, if it is one that does.
func (s *Session) move() {
	s.mu.Lock()
	m, ok := s.recv.(Mover)
	live := s.phase == open
	s.mu.Unlock()
	if ok && live {
		m.Move()
		return
	}
	s.GoAway()
}
