package broker_test

import "github.com/carillonhq/carillon/broker"

// check knows all that was said and all that was heard. Of every node, every
// other must have heard all that was said to it since that node knew it, in
// order, each once and whole; or in the place of what is missing, a Gap that
// covers its number. The last words of a crashed node may be missing, if it is
// down. In the end the living know each other and nobody else, and nobody
// waits for anything.
func (s *sim) check() {
	living := s.alive()
	for _, n := range living {
		if ms := n.Members(); len(ms) != len(living)-1 {
			s.t.Errorf("%s knows %v, %d nodes live", n.Self().Name, ms, len(living))
		}
		if open := n.Open(); open > 0 {
			s.t.Errorf("%s still waits for something of %d nodes", n.Self().Name, open)
		}
		if bytes := n.Assembling(); bytes > 0 {
			s.t.Errorf("%s keeps %d bytes of unfinished messages", n.Self().Name, bytes)
		}
	}
	for _, from := range s.nodes {
		from.mu.Lock()
		s.sum.Repaired += from.repaired
		from.mu.Unlock()
		for _, at := range s.nodes {
			if from != at {
				s.pair(from, at)
			}
		}
	}
}

// pair checks what one node heard of another.
func (s *sim) pair(from, at *simNode) {
	id, me := from.Self().ID, at.Self().ID
	var all []said // that at may hear
	for _, m := range from.said {
		if m.to == (broker.NodeID{}) || m.to == me {
			all = append(all, m)
		}
	}
	fail := func(format string, a ...any) {
		s.t.Errorf("%s of %s: "+format, append([]any{at.Self().Name, from.Self().Name}, a...)...)
	}
	next := 0
	var gaps []heard // since the last message
	excuse := func(ms []said) {
		for _, m := range ms {
			if !m.owed[me] {
				continue
			}
			covered := false
			for _, g := range gaps {
				covered = covered || g.lo < m.hi && m.lo <= g.hi
			}
			if !covered {
				fail("number %d (%d-%d) is missing in silence; there are gaps %v", m.k, m.lo, m.hi, gaps)
			}
			s.sum.Excused++
		}
	}
	up, everUp := false, false
	at.mu.Lock()
	defer at.mu.Unlock()
	for _, h := range at.heard {
		if h.from != id {
			continue
		}
		switch h.kind {
		case broker.NodeUp, broker.NodeDown:
			if up == (h.kind == broker.NodeUp) {
				fail("%v twice", h.kind)
			}
			up = !up
			everUp = true
			if !up {
				s.sum.Downs++
				if !s.w.outages {
					fail("it is down, though nothing happened to it")
				}
			}
			continue
		case broker.Gap:
			gaps = append(gaps, h)
			s.sum.Gaps++
			if !s.w.outages {
				fail("gap %d-%d, though all can be repaired", h.lo, h.hi)
			}
			continue
		}
		if !up {
			fail("number %d while it is down", h.k)
		}
		if h.mangled {
			fail("number %d is not what was said", h.k)
		}
		i := next
		for i < len(all) && all[i].k != h.k {
			i++
		}
		if i == len(all) {
			fail("number %d came twice, or out of order", h.k)
			return
		}
		excuse(all[next:i])
		next, gaps = i+1, nil
		s.sum.Heard++
	}
	switch {
	case at.crashed:
	case from.crashed:
		if everUp && up {
			fail("it is up, but it crashed")
		}
	case next < len(all):
		fail("the last %d never came", len(all)-next)
	}
}
