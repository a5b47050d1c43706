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

const (
	// drainPace is the time that Drain takes for each session at most: few
	// clients are no crowd, however long they have.
	drainPace = 20 * time.Millisecond

	// drainStep is the least time between two batches.
	drainStep = 20 * time.Millisecond
)

// Drain opens no more sessions, and closes those that there are (see
// Session.GoAway), and the WebSockets here of other nodes' sessions, in random order and spread over period, or over 20 ms for
// each if that is less: so that those who take over meet no crowd. The steps
// are jittered by half of their length. It returns when the last one was told,
// or with ctx's error; Shutdown waits for their ends. Without a period all are
// told at once.
func (s *Server) Drain(ctx context.Context, period time.Duration) error {
	var all []departing
	for _, sess := range s.stop() {
		all = append(all, sess)
	}
	for _, e := range s.peering.allEdges() {
		all = append(all, e)
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	period = min(period, time.Duration(len(all))*drainPace)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for len(all) > 0 {
		step := max(period/time.Duration(len(all)), drainStep)
		n := len(all) // at the end of the period
		if period > step {
			n = max(1, int(int64(len(all))*int64(step)/int64(period)))
		}
		for _, d := range all[:n] {
			d.move()
		}
		all = all[n:]
		period -= step
		if len(all) == 0 {
			break
		}
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
