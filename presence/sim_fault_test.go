package presence_test

import (
	"math/rand/v2"
	"time"

	"github.com/carillonhq/carillon/presence"
)

// up returns the node of a slot, or of the next one that has a node.
func (w *world) up(slot int) *simNode {
	for i := range w.slots {
		if n := w.slots[(slot+i)%len(w.slots)]; n != nil {
			return n
		}
	}
	return nil
}

// do makes a step of the plan.
func (w *world) do(s step) {
	n := w.slots[s.slot%len(w.slots)]
	switch s.kind {
	case connect:
		w.connect(s.user, s.device, s.slot)
		return
	case lose, leave, modify:
		w.disturb(s)
		return
	case restart: // of the broker: all that is under way is lost
		for _, n := range w.slots {
			if n != nil {
				w.trouble(n, s.lasts, func(f *faults) { f.away = true; f.epoch++ })
			}
		}
		return
	case replay:
		w.replay(s)
		return
	case snapshot:
		if n != nil {
			n.snapshot()
		}
		return
	}
	if n == nil {
		return
	}
	switch s.kind {
	case crash:
		w.tally.Crashes++
		w.halt(n, s, true)
	case stop:
		w.tally.Stops++
		w.halt(n, s, false)
	case cutNoticed:
		w.trouble(n, s.lasts, func(f *faults) { f.away = true })
	case cutSilent:
		w.trouble(n, s.lasts, func(f *faults) { f.mute, f.deaf = true, true })
	case cutDeaf:
		w.trouble(n, s.lasts, func(f *faults) { f.deaf = true })
	case cutMute:
		w.trouble(n, s.lasts, func(f *faults) { f.mute = true })
	case pause:
		w.tally.Pauses++
		w.trouble(n, s.lasts, func(f *faults) {
			if f.pause == nil {
				f.pause = make(chan struct{})
			}
		})
	}
}

func (w *world) connect(user, device string, slot int) {
	n := w.up(slot)
	if n == nil {
		return
	}
	// A device has one connection: the client's former one is gone.
	for _, s := range w.sessions {
		if s.user == user && s.device == device {
			w.finish(s, false)
		}
	}
	h, err := n.tracker.Track(user, device, presence.Meta{})
	if err != nil {
		w.fail("track: %v", err)
		return
	}
	w.last++
	w.tally.Sessions++
	w.sessions[w.last] = &session{id: w.last, user: user, device: device, node: n, hold: h, begin: time.Now()}
}

func (w *world) finish(s *session, left bool) {
	s.end, s.left = time.Now(), left
	delete(w.sessions, s.id)
	w.past = append(w.past, s)
	if left {
		s.hold.Leave()
	} else {
		s.hold.Lose()
	}
}

func (w *world) disturb(st step) {
	for id := 1; id <= w.last; id++ {
		s := w.sessions[id]
		if s == nil || s.user != st.user || s.device != st.device {
			continue
		}
		switch st.kind {
		case lose:
			w.finish(s, false)
			if st.lasts > 0 {
				w.at(w.since()+st.lasts, func() { w.connect(s.user, s.device, st.slot) })
			}
		case leave:
			w.finish(s, true)
		case modify:
			_ = s.hold.Update(presence.Meta{Status: st.status})
		}
	}
}

// halt ends a node. Most of its clients return to others inside the grace.
func (w *world) halt(n *simNode, st step, crashed bool) {
	w.heal(n) // a driver that stands still cannot be closed
	if crashed {
		n.f.set(func(f *faults) { f.mute, f.deaf = true, true })
		n.crashed = true
	} else {
		n.tracker.Drain()
	}
	for id := 1; id <= w.last; id++ {
		s := w.sessions[id]
		if s == nil || s.node != n {
			continue
		}
		back := st.back && rand.New(rand.NewPCG(w.plan.seed, uint64(id))).IntN(10) < 7
		if crashed {
			s.end = time.Now()
			delete(w.sessions, id)
			w.past = append(w.past, s)
		} else {
			w.finish(s, false)
		}
		if back {
			w.at(w.since()+time.Duration(200+id*37%6000)*time.Millisecond, func() { w.connect(s.user, s.device, s.node.slot+1+s.id%3) })
		}
	}
	w.slots[n.slot] = nil
	if !crashed {
		time.Sleep(100 * time.Millisecond) // its clients are told
	}
	n.end = time.Now()
	n.tracker.Close()
	n.bus.Close()
	w.at(w.since()+st.lasts, func() { w.boot(n.slot) })
}

// trouble befalls a node for a time.
func (w *world) trouble(n *simNode, lasts time.Duration, change func(f *faults)) {
	if k := len(n.troubled); k > 0 && n.troubled[k-1].to.IsZero() {
		return // one at a time
	}
	w.tally.Cuts++
	n.f.set(change)
	n.troubled = append(n.troubled, span{from: time.Now(), hears: !n.f.away && !n.f.deaf && n.f.pause == nil})
	w.at(w.since()+lasts, func() { w.heal(n) })
}

func (w *world) heal(n *simNode) {
	if k := len(n.troubled); k > 0 && n.troubled[k-1].to.IsZero() && n.end.IsZero() {
		n.f.calm()
		n.troubled[k-1].to = time.Now()
	}
}

func (w *world) calm() {
	for _, n := range w.slots {
		if n != nil {
			w.heal(n)
		}
	}
}

// replay publishes what was published before.
func (w *world) replay(s step) {
	w.mu.Lock()
	tape := w.tape
	w.mu.Unlock()
	d := w.hub.Driver()
	defer d.Close()
	for range 20 {
		if len(tape) == 0 {
			return
		}
		old := tape[w.rnd.IntN(len(tape))]
		w.tally.Replays++
		_ = d.Publish(w.t.Context(), old.topic, old.data)
	}
}
