package adapter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/carillonhq/carillon/broker"
)

// An inquiry collects the answers to one Ask. Answers may come before it is
// known how many there will be.
type inquiry struct {
	done chan struct{} // closed when nothing is awaited any more
	once bool          // it is the nodes who answer, each once, not their sockets

	mu      sync.Mutex // guards all below
	sealed  bool       // all nodes that were asked are known
	nodes   map[broker.NodeID]*asked
	answers []heard
}

// asked is what one node owes to an inquiry.
type asked struct {
	name    string
	was     bool                  // asked, that is: else it only speaks of itself
	counted bool                  // count is known
	count   int                   // of its sockets that were asked,
	settled map[SocketID]struct{} // of which these are settled,
	gone    int                   // and so many of them without an answer
	err     error                 // why nothing more will come
}

// heard is an Answer whose node's name may not be known yet.
type heard struct {
	from *asked
	Answer
}

func newInquiry() *inquiry {
	return &inquiry{done: make(chan struct{}), nodes: make(map[broker.NodeID]*asked)}
}

// node needs mu.
func (in *inquiry) node(id broker.NodeID) *asked {
	a := in.nodes[id]
	if a == nil {
		a = &asked{settled: make(map[SocketID]struct{})}
		in.nodes[id] = a
	}
	return a
}

// owes reports whether something is still to come.
func (a *asked) owes() bool {
	return a.was && a.err == nil && (!a.counted || len(a.settled) < a.count)
}

// count tells how many sockets of a node were asked, or why nobody knows.
func (in *inquiry) count(m broker.Member, n int, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	a := in.node(m.ID)
	a.name, a.was = m.Name, true
	if err == nil {
		a.counted, a.count = true, n
	} else if a.err == nil {
		a.err = err
	}
}

// answer tells what one socket of a node answered, or that it is gone.
func (in *inquiry) answer(node broker.NodeID, id SocketID, what outcome, body []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	a := in.node(node)
	if _, twice := a.settled[id]; twice {
		return
	}
	switch what {
	case answered:
		if in.once {
			a.counted, a.count = true, 1
		}
		in.answers = append(in.answers, heard{a, Answer{Socket: id, Body: body}})
	case refused: // by the node
		if a.err == nil {
			a.err = &broker.RefusedError{Text: string(body)}
		}
		in.check(a)
		return
	default:
		a.gone++
	}
	a.settled[id] = struct{}{}
	in.check(a)
}

// down tells that a node will not answer any more.
func (in *inquiry) down(node broker.NodeID) {
	in.mu.Lock()
	defer in.mu.Unlock()
	a := in.node(node)
	if a.err == nil {
		a.err = broker.ErrNodeDown
	}
	in.check(a)
}

// check ends the inquiry if a was the last to owe something. It needs mu.
func (in *inquiry) check(a *asked) {
	if !in.sealed || a != nil && a.owes() {
		return
	}
	for _, other := range in.nodes {
		if other.owes() {
			return
		}
	}
	select {
	case <-in.done:
	default:
		close(in.done)
	}
}

// wait returns when the nodes counted owe nothing, or ctx is done, with all
// answers and, if some are missing, with a *PartialError.
func (in *inquiry) wait(ctx context.Context) ([]Answer, error) {
	in.mu.Lock()
	in.sealed = true
	in.check(nil)
	in.mu.Unlock()
	var cause error
	select {
	case <-in.done:
	default:
		select {
		case <-in.done:
		case <-ctx.Done():
			cause = context.Cause(ctx)
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	var answers []Answer
	for _, h := range in.answers {
		if h.from.was {
			h.Node = h.from.name
			answers = append(answers, h.Answer)
		}
	}
	var missing []Missing
	for _, a := range in.nodes {
		missing = a.missing(missing, cause)
	}
	if missing == nil {
		return answers, nil
	}
	slices.SortStableFunc(missing, func(a, b Missing) int { return strings.Compare(a.Node, b.Node) })
	return answers, &PartialError{Missing: missing}
}

// debtors returns the nodes, but self, that may still say something.
func (in *inquiry) debtors(self broker.NodeID) (nodes []broker.NodeID) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for id, a := range in.nodes {
		if id != self && (a.owes() || errors.Is(a.err, broker.ErrTimeout)) {
			nodes = append(nodes, id)
		}
	}
	return nodes
}

// missing appends what the node still owes, given why the wait ended.
func (a *asked) missing(to []Missing, cause error) []Missing {
	if !a.was {
		return to
	}
	if a.gone > 0 {
		to = append(to, Missing{Node: a.name, Sockets: a.gone, Err: ErrGone})
	}
	silent := a.count - len(a.settled)
	switch {
	case !a.counted:
		to = append(to, Missing{Node: a.name, Err: a.err})
	case silent > 0 && a.err != nil:
		to = append(to, Missing{Node: a.name, Sockets: silent, Err: a.err})
	case silent > 0:
		to = append(to, Missing{Node: a.name, Sockets: silent, Err: fmt.Errorf("%w: %w", ErrSilent, cause)})
	}
	return to
}
