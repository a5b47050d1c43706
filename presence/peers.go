package presence

import (
	"errors"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// event follows the other nodes' lives. The Bus calls it in order with each
// node's messages.
func (t *Tracker) event(e broker.Event) {
	switch e.Kind {
	case broker.NodeUp:
		// It may know nothing of us: tell all. If it was down for us alone, it
		// does not know that we forgot what it told: ask.
		t.sendAll(e.Node.ID)
		t.pull(e.Node.ID)
	case broker.NodeDown:
		t.mu.Lock()
		defer t.mu.Unlock()
		if n := t.nodes[e.Node.ID]; n != nil {
			t.replace(n, nil)
			delete(t.nodes, e.Node.ID)
		}
	case broker.Gap:
		t.pull(e.Node.ID)
	}
}

// meet exchanges all with a node that was up before we came.
func (t *Tracker) meet(m broker.Member) {
	t.sendAll(m.ID)
	t.pull(m.ID)
}

// pull asks a node for all that it holds. If it has gone, NodeDown follows.
func (t *Tracker) pull(from broker.NodeID) {
	_ = t.bus.Send(from, channel, []byte{kindPull})
}

// retryDelay is how long a full buffer is given to empty.
const retryDelay = time.Second

// retell sees to it that all others are told all, soon.
func (t *Tracker) retell() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.retry != nil || t.closed {
		return
	}
	t.wg.Add(1) // Done when the timer has fired or was stopped
	t.retry = time.AfterFunc(retryDelay, func() {
		defer t.wg.Done()
		t.mu.Lock()
		t.retry = nil
		t.mu.Unlock()
		t.tellAll(func(page []byte) error { return t.bus.Broadcast(channel, page) })
	})
}

// sendAll tells a node all that this one holds.
func (t *Tracker) sendAll(to broker.NodeID) {
	t.tellAll(func(page []byte) error {
		err := t.bus.Send(to, channel, page)
		if errors.Is(err, broker.ErrUnknownNode) {
			return nil // it has just gone
		}
		return err
	})
}

func (t *Tracker) tellAll(send func(page []byte) error) {
	t.tell.Lock()
	defer t.tell.Unlock()
	t.mu.Lock()
	held := make(map[string]int, len(t.own))
	for user, devices := range t.own {
		held[user] = len(devices)
	}
	t.mu.Unlock()
	for _, page := range pages(held) {
		if err := send(page); err != nil {
			if !errors.Is(err, broker.ErrClosed) {
				t.retell()
			}
			return
		}
	}
}

func (t *Tracker) receive(msg broker.Message) {
	m, err := decode(msg.Body)
	if err != nil {
		if t.opts.Malformed != nil {
			t.opts.Malformed(msg.From.Name)
		}
		return
	}
	if m.kind == kindPull {
		t.sendAll(msg.From.ID)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	n := t.nodes[msg.From.ID]
	if n == nil {
		n = &node{name: msg.From.Name, held: make(map[string]int)}
		t.nodes[msg.From.ID] = n
	}
	if m.kind == kindChange {
		t.set(n, m.entries[0])
		if n.incoming != nil {
			n.incoming[m.entries[0].user] = m.entries[0].devices
		}
		return
	}
	if m.flags&pageFirst != 0 {
		n.incoming = make(map[string]int, len(m.entries))
	}
	if n.incoming == nil {
		return // the first page was lost: the pull after that Gap brings all
	}
	for _, e := range m.entries {
		n.incoming[e.user] = e.devices
	}
	if m.flags&pageLast != 0 {
		t.replace(n, n.incoming)
		n.incoming = nil
	}
}

// set stores how many devices of a user a node holds. It needs mu.
func (t *Tracker) set(n *node, e entry) {
	before := n.held[e.user]
	if e.devices == 0 {
		delete(n.held, e.user)
	} else {
		n.held[e.user] = e.devices
	}
	t.add(e.user, e.devices-before)
}

// replace stores all that a node holds; only differences are changes. It
// needs mu.
func (t *Tracker) replace(n *node, held map[string]int) {
	for user := range n.held {
		if held[user] == 0 {
			t.set(n, entry{user, 0})
		}
	}
	for user, devices := range held {
		t.set(n, entry{user, devices})
	}
}
