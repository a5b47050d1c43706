package socketio

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
)

// errInexact says why a client whose node died can't be told all that it missed.
var errInexact = errors.New("socketio: not known exactly")

// regain makes the seat of a dead node, claimed of who kept its will, one of this
// node, which is parked, if it is known what the client has missed. It reports
// false if it is not; else there is nothing more to be had of the will.
//
// That is, of what other nodes said, or the dead one to others, what the client
// had not heard, by its offset; see adapter.Estate. What the dead node emitted by
// itself to its own clients, and had not sent, was not emitted. Nor did a client
// join or leave a room, there, or was its data set, if that did not leave the
// node any more.
func (n *Namespace) regain(ctx context.Context, t ticket, claim adapter.Claim, left *bequest) bool {
	ctx, cancel := context.WithTimeout(ctx, heirPatience/2)
	defer cancel()
	for { // it is known here, too, in a moment
		if _, down := n.log.DiedBy(claim.Had); down || ctx.Err() != nil {
			break
		}
		time.Sleep(heirRetry / 10)
	}
	x, a, err := n.estate(t, claim, left)
	if err == nil {
		x.Owed, err = n.moves.owed(ctx, x)
	}
	if err == nil {
		why := n.install(a, 0, nil, func() (in adapter.Import, err error) {
			in, err = n.log.Inherit(a, x)
			if err != nil {
				n.logger().Debug("a client whose node died is not recovered", "socket", a.id, "error", err)
			}
			return in, err
		})
		return why != UnrecoveredTrimmed // else it has come, or another attempt has been faster, or it was put out
	}
	n.logger().Debug("a client whose node died is not recovered", "socket", x.ID, "error", err)
	return false
}

// estate returns what was left of a seat, and a seat for it.
func (n *Namespace) estate(t ticket, claim adapter.Claim, left *bequest) (*adapter.Estate, *seat, error) {
	w := &left.first
	x := &adapter.Estate{Node: claim.Had, ID: w.ID, Rooms: w.Rooms}
	dead := claim.Had.Short()
	died, down := n.log.DiedBy(claim.Had)
	if w.Node != dead || claim.Doubt || !down {
		return x, nil, errInexact
	}
	for _, change := range left.changes {
		at, ok := n.log.ParseHeard(change.At)
		for _, r := range change.Rooms {
			x.Changes = append(x.Changes, adapter.RoomChange{Room: r, Joined: true, Heard: at})
		}
		for _, r := range change.Left {
			x.Changes = append(x.Changes, adapter.RoomChange{Room: r, Heard: at})
		}
		if !ok && len(change.Rooms)+len(change.Left) > 0 {
			return x, nil, errInexact
		}
	}
	a := &seat{namespace: n, id: w.ID, pid: t.pid, term: claim.Term + nextLife, moved: true, regained: true, born: time.Now()}
	data, err := n.server.recovery.opts.decode(left.now.Data)
	if err != nil {
		return x, nil, err
	}
	a.data = data
	if err := n.stood(x, a, t, w, dead); err != nil {
		return x, nil, err
	}
	a.ahead = x.Heard.Text()

	// The client heard all, up to the loss of its connection; so long ago that may
	// be at most.
	r := n.server.recovery
	x.Since = died.Add(-r.silence - adapter.Slack)
	if left.now.Parked {
		x.Since = x.Since.Add(-r.opts.Window)
	}
	if came := time.Now().Add(-claim.Age - time.Duration(w.Age)*time.Millisecond - adapter.Slack); came.After(x.Since) {
		x.Since = came
	}
	return x, a, nil
}

// stood finds out where the client stood, by its offset.
func (n *Namespace) stood(x *adapter.Estate, a *seat, t ticket, w *will, dead string) error {
	at, known := n.log.ParseHeard(w.At)
	if t.offset == "" || t.offset == w.Entry { // it has had nothing yet
		if !w.First || w.Moved || !known {
			return errInexact
		}
		x.Heard, a.entry, a.whole = at, t.offset, true
		return nil
	}
	p, text, ok := parseOffset(t.offset)
	if !ok || p.Node != dead {
		return errInexact
	}
	if x.Heard, ok = n.log.ParseHeard(text); !ok {
		return errInexact
	}
	if w.Moved {
		ahead, ok := n.log.ParseHeard(w.Ahead)
		if !ok {
			return errInexact
		}
		x.Heard.Max(ahead)
	}
	if w.Unsure { // of what was said before
		if !known {
			return errInexact
		}
		for node, number := range at {
			if x.Heard[node] < number {
				return errInexact
			}
		}
	}
	a.base = []adapter.Place{p}
	return nil
}

// owed asks all nodes what they said to the dead one alone.
func (m *moves) owed(ctx context.Context, x *adapter.Estate) (all []adapter.Owed, err error) {
	var wg sync.WaitGroup
	var mu sync.Mutex // guards all and err
	ago := time.Since(x.Since)
	for _, node := range m.peers.Members() {
		wg.Go(func() {
			owed, failed := m.owedBy(ctx, node, x, ago)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, owed...)
			err = errors.Join(err, failed)
		})
	}
	wg.Wait()
	return all, err
}

func (m *moves) owedBy(ctx context.Context, node broker.Member, x *adapter.Estate, ago time.Duration) ([]adapter.Owed, error) {
	short := node.ID.Short()
	if short == m.peers.Node() {
		b, ok := m.namespace.log.AppendOwed(nil, x.Node, x.Heard[node.ID], ago)
		if !ok {
			return nil, errInexact
		}
		return adapter.DecodeOwed(node.ID, b)
	}
	for ctx.Err() == nil {
		r, ok := m.ask(ctx, short, &news{What: newsOwed, Dead: x.Node[:], Term: x.Heard[node.ID], Age: milliseconds(ago)})
		switch {
		case ok && r.What == newsOwes:
			return adapter.DecodeOwed(node.ID, r.rest)
		case !ok || r.Why != UnrecoveredUnreachable:
			return nil, errInexact
		}
		select { // it does not know yet that the node is dead, and may say more to it
		case <-time.After(heirRetry):
		case <-ctx.Done():
		}
	}
	return nil, errInexact
}

// owes answers a node that asks what was said to a dead one alone.
func (m *moves) owes(from string, n news) {
	var dead broker.NodeID
	answer := &news{What: newsNo, Request: n.Request, Why: UnrecoveredUnreachable}
	if len(n.Dead) == len(dead) {
		copy(dead[:], n.Dead)
		if !m.peers.IsUp(dead.Short()) {
			answer.Why = UnrecoveredTrimmed
			ago := time.Duration(min(n.Age, int64(time.Hour/time.Millisecond))) * time.Millisecond
			if b, ok := m.namespace.log.AppendOwed(nil, dead, n.Term, ago); ok {
				answer = &news{What: newsOwes, Request: n.Request, rest: b}
			}
		}
	}
	m.answer(from, answer)
}
