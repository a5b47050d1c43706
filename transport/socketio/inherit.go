package socketio

import (
	"context"
	"errors"
	"time"

	"github.com/carillonhq/carillon/adapter"
)

const (
	// heirPatience is for how long a client whose node seems to be dead waits
	// until that is sure: a node is declared so after five heartbeats.
	heirPatience = 10 * time.Second

	// nextLife is by how much the terms of a seat grow with its node's death: past
	// all that the node, should it only have been silent, still says of it.
	nextLife = 1 << 32

	heirRetry = 250 * time.Millisecond
	heirAsk   = time.Second // of one answer
)

// inherit has the seat of a client whose node has died come here, if all that it
// has missed can be told; it reports whether the seat may be had now. Else it
// returns a Socket with the id, the rooms and the data that it had there, though
// not recovered, as events may be missing: the client is told a new pid, and so
// knows. It returns nil if nothing is to be had, and waits while the node is only
// suspected: two would have the same socket else.
func (c *client) inherit(n *Namespace, h *Handshake, t ticket) (s *Socket, inherited bool) {
	w := n.wills
	if w == nil || t.pid == "" {
		return nil, false
	}
	done, mine := n.moves.begin(t.pid)
	if !mine { // another client is at it
		select {
		case <-done:
		case <-c.ctx.Done():
		}
		return nil, true
	}
	defer n.moves.end(t.pid)
	claim, ok := w.claim(c.ctx, t.pid)
	if !ok {
		return nil, claim.Sure // another attempt has been faster, maybe on another node
	}
	left, err := decodeWill(claim.Body, claim.Added)
	if err != nil {
		w.keeper.Settle(t.pid, claim)
		n.logger().Warn("what a dead node left of a socket is dropped", "error", err)
		return nil, false
	}
	if n.regain(c.ctx, t, claim, &left) {
		w.keeper.Settle(t.pid, claim) // which is not what was put in its place
		return nil, true
	}
	if c.ctx.Err() != nil { // nobody is there any more: it may come back once more
		w.keeper.Release(t.pid, claim)
		return nil, false
	}
	w.keeper.Settle(t.pid, claim)
	a := newSeat(n, t.offset)
	a.id = left.now.ID
	a.term = claim.Term + nextLife
	if a.data, err = n.server.recovery.opts.decode(left.now.Data); err != nil {
		n.logger().Error("data of a socket whose node died", "socket", a.id, "error", err)
	}
	s = newSocket(c, n, h, a)
	s.rooms = left.now.Rooms
	s.restored = true
	n.unrecovered(UnrecoveredDied)
	return s, false
}

// claim gets what is kept of a seat; false if nothing is, or another node has
// the seat.
func (w *wills) claim(ctx context.Context, pid string) (adapter.Claim, bool) {
	ctx, cancel := context.WithTimeout(ctx, heirPatience)
	defer cancel()
	for ctx.Err() == nil {
		one, done := context.WithTimeout(ctx, heirAsk)
		c, err := w.keeper.Claim(one, pid)
		done()
		switch {
		case errors.Is(err, adapter.ErrNotKept) || errors.Is(err, adapter.ErrClosed):
			return c, false
		case err == nil && c.Term > 0:
			return c, true
		case err == nil && c.Sure:
			return c, false
		}
		select {
		case <-time.After(heirRetry):
		case <-ctx.Done():
		}
	}
	return adapter.Claim{}, false
}

// Restored reports whether the client was on a node that died: this socket has
// the ID of the one there, and its rooms and data, but is not Recovered, as
// events may be missing that were for it since.
func (s *Socket) Restored() bool { return s.restored }
