package edge

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// channel is the Tellers' name on the bus.
const channel = "webhook"

// A word is what nodes say to each other.
type word struct {
	Taken   []Edge `json:"taken,omitempty"`   // the sender has them to tell
	Settled []Edge `json:"settled,omitempty"` // and they need to be told no more
}

func (t *Teller) broadcast(w word) {
	body, err := json.Marshal(w)
	if err == nil {
		err = t.bus.Broadcast(channel, body)
	}
	if err != nil { // the others tell it, too
		t.opts.Logger.Warn("other nodes do not know what the back end was told", "err", err)
	}
}

// receive takes the word of another node.
func (t *Teller) receive(m broker.Message) {
	var w word
	if err := json.Unmarshal(m.Body, &w); err != nil {
		t.opts.Logger.Warn("a node's word cannot be read", "peer", m.From.Name, "err", err)
		return
	}
	t.mu.Lock()
	for _, e := range w.Taken {
		n := t.note(e.User)
		n.told, n.by, n.settled, n.at = stateOf(e.Online), m.From.ID, false, time.Now()
	}
	t.mu.Unlock()
	t.settle(w.Settled)
}

// event follows the members.
func (t *Teller) event(e broker.Event) {
	switch e.Kind {
	case broker.NodeDown:
		t.mu.Lock()
		for user, n := range t.notes {
			if n.by == e.Node.ID && !n.settled {
				n.told = unknown // perhaps it was not
				t.forget(user, n)
			}
		}
		t.mu.Unlock()
	case broker.NodeDraining:
	default:
		return
	}
	t.review()
}

// rank is how many nodes stand before this one by the rule.
func (t *Teller) rank(user string) int {
	self := t.bus.Self()
	mine, before := weight(self.ID, user), 0
	for _, m := range t.bus.Members() {
		switch {
		case m.Draining && !self.Draining:
		case self.Draining && !m.Draining, weight(m.ID, user) > mine:
			before++
		}
	}
	return before
}

// weight is the same on all nodes.
func weight(id broker.NodeID, user string) uint64 {
	sum := sha256.Sum256(append(id[:], user...))
	return binary.BigEndian.Uint64(sum[:])
}
