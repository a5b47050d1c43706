package presence

import (
	"slices"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// All that this node says is said under t.tell, what is pending first: so
// that a beat, and a page, speak of exactly what was said before them.

// flush tells the others what has changed here.
func (t *Tracker) flush() {
	_ = t.speak(nil, nil)
}

// speak tells the others what has changed, then sends what compose returns, of
// the same moment. compose is called with t.mu held.
func (t *Tracker) speak(compose func() []message, send func([]byte) error) error {
	t.tell.Lock()
	defer t.tell.Unlock()
	t.mu.Lock()
	first, ops := t.unsaid()
	ops = slices.Clone(ops)
	var ms []message
	if compose != nil {
		ms = compose()
	}
	up := t.uptime()
	t.mu.Unlock()

	for len(ops) > 0 {
		n, size := 0, 0
		for n < len(ops) && (n == 0 || size < pageMax) {
			size += ops[n].size()
			n++
		}
		m := message{kind: kindOps, uptime: up, first: first, ops: ops[:n]}
		if err := t.bus.Broadcast(t.opts.Channel, m.append(make([]byte, 0, size+24))); err != nil {
			break // the others find that something is missing, and ask
		}
		first, ops = first+uint64(n), ops[n:]
	}
	for i := range ms {
		ms[i].uptime = up
		if err := send(ms[i].append(nil)); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tracker) uptime() uint64 { return uint64(time.Since(t.self.born).Milliseconds()) }

func (t *Tracker) toAll(b []byte) error { return t.bus.Broadcast(t.opts.Channel, b) }

func (t *Tracker) toNode(id broker.NodeID) func([]byte) error {
	return func(b []byte) error { return t.bus.Send(id, t.opts.Channel, b) }
}

// beat returns what every beat says. t.mu is held.
func (t *Tracker) beat() []message {
	m := message{
		kind: kindBeat, first: t.self.seq, digest: t.self.digest(),
		devices: uint64(t.self.devices), grace: uint64(t.opts.Grace.Milliseconds()),
	}
	if t.self.draining {
		m.flags |= beatDraining
	}
	return []message{m}
}
