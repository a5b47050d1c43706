package socketio

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/carillonhq/carillon/transport/engineio"
)

const (
	moveTimeout = time.Second           // bounds the wait for a client's handlers
	moveLook    = 10 * time.Millisecond // between two looks whether they are done
)

// Drain takes no new clients and makes those that there are come back to
// another node: their connections are closed, which is no disconnection of
// theirs, in random order and spread over period; see engineio.Server.Drain.
// A client is told behind the acknowledgements that it waits for, if its
// handlers give them within a second. Drain returns when the last one was
// told, or with ctx's error. Shutdown follows.
func (s *Server) Drain(ctx context.Context, period time.Duration) error {
	s.closing.Store(true)
	return s.engine.Drain(ctx, engineio.Pace{Period: period})
}

var _ engineio.Mover = (*client)(nil)

// Move implements engineio.Mover. What another node needs in order to go on
// where this one ends is to be handed over here, ahead of GoAway.
func (c *client) Move() {
	if c.quiet() {
		c.session.GoAway()
		return
	}
	c.server.moves.Go(func() { // ends within moveTimeout
		defer c.session.GoAway()
		patience := time.NewTimer(moveTimeout)
		defer patience.Stop()
		look := time.NewTicker(moveLook)
		defer look.Stop()
		for !c.quiet() {
			select {
			case <-look.C:
			case <-patience.C:
				return
			case <-c.ctx.Done():
				return
			}
		}
	})
}

// quiet reports whether no socket's handlers are at work, and neither side
// waits for an acknowledgement.
func (c *client) quiet() bool {
	c.mu.Lock()
	sockets := slices.Collect(maps.Values(c.sockets))
	c.mu.Unlock()
	return !slices.ContainsFunc(sockets, func(s *Socket) bool {
		s.mu.Lock()
		asked := len(s.acks)
		s.mu.Unlock()
		return asked > 0 || s.owed.Load() > 0 || !s.inbox.idle()
	})
}
