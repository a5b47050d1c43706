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

// DrainOptions say how Server.Drain goes about it. The zero value tells all
// clients at once, and keeps nothing for them.
type DrainOptions struct {
	// Pace is how fast clients are told to go.
	Pace engineio.Pace

	// Heirs reports whether another node is there, and not about to leave itself,
	// to which clients can come back. While it is, and Recovery is enabled, their
	// sockets are kept here, and get what is sent to them, until that node asks
	// for them. It is called more than once, and must not block. Default: what
	// the adapters of a Cluster know.
	Heirs func() bool

	// Linger is how long this node waits so for a client whose connection has
	// ended. Clients come back after a second or two. Then other nodes adopt what
	// is left. Default: 5s. Negative: they do so at once.
	Linger time.Duration
}

// lingerLook is the time between two looks whether anybody is still awaited.
const lingerLook = 50 * time.Millisecond

// Drain takes no new clients and makes those that there are come back to
// another node: their connections are closed, which is no disconnection of
// theirs, in random order and at a pace; see engineio.Server.Drain. A client is
// told behind the acknowledgements that it waits for, if its handlers give them
// within a second.
//
// Drain returns when the last one was told or, where other nodes take over (see
// DrainOptions), when no client that has just gone is awaited any more and the
// other nodes have adopted what is kept: each socket is at the node that its
// client's secret falls to (adapter.Rendezvous), or the next one that has room,
// with its rooms, its data and what its client has missed, for the rest of
// Recovery.Window. Or it returns with ctx's error; Shutdown, which follows, hands
// over what is left. All else goes on as before meanwhile: sockets that are kept
// stay members of their rooms, and presence lets a user go no sooner.
//
// What was sent to a client in its last minute, and it may have or not, goes along
// as far as there is room: 64 MiB for all, 1 MiB for one. A socket is lost, and
// counted (Hooks.Lapsed), if no node takes it, or if its client has missed more
// than it could be sent. In the end the Server logs how many sockets had moved,
// were adopted, and lost.
func (s *Server) Drain(ctx context.Context, opts DrainOptions) error {
	s.closing.Store(true)
	heirs := s.heirs
	if opts.Heirs != nil {
		heirs = func() bool { return s.recovery != nil && opts.Heirs() }
	}
	s.handing.Store(heirs())
	if err := s.engine.Drain(ctx, opts.Pace); err != nil {
		return err
	}
	linger := opts.Linger
	if linger == 0 {
		linger = 5 * time.Second
	}
	look := time.NewTicker(lingerLook)
	defer look.Stop()
	for heirs() && (s.engine.Sessions() > 0 || s.recovery.parking.awaits(linger)) {
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.handOver(ctx)
	return ctx.Err()
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
