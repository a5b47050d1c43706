package broker

import "slices"

const (
	partsPerEnvelope = 4           // a part of a long message is at most so large that so many fit
	maxAssembly      = 8 * MaxBody // bytes of unfinished messages of all nodes
)

// parts returns in how many parts m goes. b.mu is held.
func (b *Bus) parts(m *message) int {
	n := b.limit / partsPerEnvelope
	return max(1, (len(m.body)+n-1)/n)
}

// next takes the next part off an admitted m, which is all of it unless m is
// long, gives it its number and makes its body ours. b.mu is held, and is not
// given up before the last part has its number: in the chain of those who get
// them, nothing stands between two parts.
func (b *Bus) next(m *message) (part message, more bool) {
	part = *m
	if n := b.limit / partsPerEnvelope; len(m.body) > n {
		part.body, m.body = m.body[:n], m.body[n:]
		part.flags |= msgMore
		m.flags |= msgPart
		more = true
	}
	b.seq++
	part.seq, part.body = b.seq, slices.Clone(part.body)
	return part, more
}

// An assembly is a long message of which some parts have come.
type assembly struct {
	parts      [][]byte
	size       int
	base, upto uint64 // the numbers it has, as in an Event
}

// assemble adds a part to what came before it in the lane, and reports whether
// it was the last: it then holds all. A part whose predecessor is missing is
// dropped, for a Gap has told of that.
func (b *Bus) assemble(l *lane, it *item) bool {
	m := &it.msg
	switch {
	case m.flags&msgPart == 0:
		l.end(b)
		l.base = m.prev
	case l.parts == nil:
		return false
	}
	l.parts = append(l.parts, m.body)
	l.size += len(m.body)
	l.upto = m.seq
	if total := b.assembling.Add(int64(len(m.body))); l.size > MaxBody || total > maxAssembly {
		ev := l.end(b)
		ev.Node = it.from.member()
		b.tell(ev)
		return false
	}
	if m.flags&msgMore != 0 {
		return false
	}
	m.body = slices.Concat(l.parts...)
	l.end(b)
	return true
}

// end forgets an unfinished message. The event returned, if there was one,
// lacks the Node.
func (a *assembly) end(b *Bus) Event {
	if a.parts == nil {
		return Event{}
	}
	b.assembling.Add(-int64(a.size))
	ev := Event{Kind: Gap, From: a.base, To: a.upto}
	*a = assembly{}
	return ev
}
