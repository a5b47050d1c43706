package presence

import (
	"container/heap"
	"fmt"
	"time"
)

// A Hold is a device's place on this node. All methods may be called
// concurrently; those of a device that is held no more change nothing.
type Hold struct {
	t *Tracker
	e *entry
}

// settleTime is added to a grace: a return at its end may be under way still.
const settleTime = 300 * time.Millisecond

// own is what this node holds.
type own struct {
	self  origin
	holds map[*entry]*Hold // of live devices

	lingering map[*entry]*linger // devices that were lost
	ends      lingers            // the same by time; those that are not in lingering are skipped

	ops     []device // the latest changes: the last is number self.seq
	flushed uint64   // the last one that the others were told of
}

// A linger is the grace of one device.
type linger struct {
	e     *entry
	begin time.Time
	end   time.Time
	seen  bool // the user came back on another node: a goodbye counts here too
}

// Track counts a device of a user in, as held by this node, until its Hold is
// let go. A device that this node holds already, or gives its grace, is held
// anew: the former Hold does nothing any more. It fails with ErrInvalid or
// ErrClosed.
func (t *Tracker) Track(user, device string, m Meta) (*Hold, error) {
	for _, id := range []struct{ what, value string }{{"user", user}, {"device", device}} {
		if id.value == "" || len(id.value) > MaxID {
			return nil, fmt.Errorf("%w: the ID of the %s has %d bytes, 1 to %d are possible", ErrInvalid, id.what, len(id.value), MaxID)
		}
	}
	if err := t.checkMeta(m); err != nil {
		return nil, err
	}
	d := newDevice(user, device)
	d.setMeta(m)
	h := &Hold{t: t}

	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, ErrClosed
	}
	d.since = uint32(t.uptime() / 10)
	for _, n := range t.nodes {
		if e := t.find(user, n, &d); e != nil && e.live() {
			d.flags |= flagTook
		}
	}
	if e := t.find(user, &t.self, &d); e != nil {
		if older := t.holds[e]; older != nil {
			t.replaced(older, t.self.Member)
		}
		delete(t.lingering, e)
	}
	h.e = t.set(&d)
	t.holds[h.e] = h
	t.endLingers(user, func(*linger) bool { return true })
	t.mu.Unlock()
	t.flush()
	return h, nil
}

func (t *Tracker) checkMeta(m Meta) error {
	if m.size() > t.opts.MaxMeta {
		return fmt.Errorf("%w: metadata of %d bytes, at most %d are possible", ErrInvalid, m.size(), t.opts.MaxMeta)
	}
	return nil
}

func (d *device) setMeta(m Meta) {
	d.meta = nil
	if m != (Meta{}) {
		d.meta = &m
	}
}

// Update replaces the device's metadata. It fails with ErrInvalid, ErrGone or
// ErrClosed.
func (h *Hold) Update(m Meta) error {
	t := h.t
	if err := t.checkMeta(m); err != nil {
		return err
	}
	t.mu.Lock()
	if t.closed || t.holds[h.e] != h {
		defer t.mu.Unlock()
		if t.closed {
			return ErrClosed
		}
		return ErrGone
	}
	d := h.e.device
	d.setMeta(m)
	t.set(&d)
	t.mu.Unlock()
	t.flush()
	return nil
}

// Leave counts the device out at once: its user said goodbye.
func (h *Hold) Leave() {
	h.end(func(e *entry) {
		user := e.user()
		h.t.drop(e, 0)
		h.t.goodbye(user)
	})
}

// goodbye ends the graces of a user who came back since, said goodbye, and is
// nowhere else: who is, keeps them, since a third node may hear of their end
// before it hears of that place. t.mu is held.
func (t *Tracker) goodbye(user string) {
	if len(t.lingering) == 0 {
		return
	}
	for e := t.head(user); e != nil; e = e.next {
		if e.live() {
			return
		}
	}
	t.endLingers(user, func(l *linger) bool { return l.seen })
}

// Lose counts the device out after Options.Grace, unless it is tracked again:
// its connection was lost, or this node ended it and expects it back. Until
// then it is one of the user's devices only if no other is left.
func (h *Hold) Lose() {
	t := h.t
	h.end(func(e *entry) {
		if t.opts.Grace == 0 {
			t.drop(e, flagLost)
			return
		}
		// Who is on another device, too, gets it all the same, and keeps it if
		// seen elsewhere again: that node may have crashed, and nobody knows
		// yet, and a third one may hear late of the user's return.
		d := e.device
		d.flags |= flagLost
		t.set(&d)
		t.linger(e)
	})
}

func (h *Hold) end(how func(e *entry)) {
	t := h.t
	t.mu.Lock()
	if t.closed || t.holds[h.e] != h {
		t.mu.Unlock()
		return
	}
	delete(t.holds, h.e)
	how(h.e)
	t.mu.Unlock()
	t.flush()
}

// linger gives e its grace. t.mu is held.
func (t *Tracker) linger(e *entry) {
	now := time.Now()
	l := &linger{e: e, begin: now, end: now.Add(t.opts.Grace + settleTime)}
	t.lingering[e] = l
	heap.Push(&t.ends, l)
	t.look()
}

// endLingers ends the graces of a user that which picks. t.mu is held.
func (t *Tracker) endLingers(user string, which func(*linger) bool) {
	if len(t.lingering) == 0 {
		return
	}
	var over []*entry
	for e := t.head(user); e != nil; e = e.next {
		if l := t.lingering[e]; l != nil && which(l) {
			over = append(over, e)
		}
	}
	for _, e := range over {
		t.drop(e, flagLost)
	}
}

// expireLingers drops what has lingered for long enough, some of it, and
// returns when to look again. t.mu is held.
func (t *Tracker) expireLingers(now time.Time) (next time.Time, more bool) {
	for n := 0; len(t.ends) > 0; {
		l := t.ends[0]
		if t.lingering[l.e] == l {
			if l.end.After(now) {
				return l.end, false
			}
			if n++; n > ringOps/2 {
				return now, true // so that the others are told before the ring is full
			}
			t.drop(l.e, flagLost)
		}
		heap.Pop(&t.ends)
	}
	return now.Add(time.Hour), false
}

// drop makes a device of this node gone: as lost, or with a goodbye. t.mu is
// held.
func (t *Tracker) drop(e *entry, lost uint8) {
	delete(t.lingering, e)
	d := e.device
	d.flags = flagGone | lost
	t.set(&d)
}

// set makes d true of this node, and has the others told with the next flush.
// t.mu is held.
func (t *Tracker) set(d *device) *entry {
	e := t.put(&t.self, d)
	t.self.seq++
	if len(t.ops) == 2*ringOps {
		t.ops = append(t.ops[:0:0], t.ops[ringOps:]...)
	}
	t.ops = append(t.ops, *d)
	return e
}

// since returns the changes after number have, if all are kept. t.mu is held.
func (t *Tracker) since(have uint64) (first uint64, ops []device, ok bool) {
	if have > t.self.seq || t.self.seq-have > uint64(len(t.ops)) {
		return 0, nil, false
	}
	return have + 1, t.ops[len(t.ops)-int(t.self.seq-have):], true
}

// unsaid returns the changes that the others were not told of. t.mu is held.
func (t *Tracker) unsaid() (first uint64, ops []device) {
	// Those that are not kept any more, others find missing.
	have := max(t.flushed, t.self.seq-uint64(len(t.ops)))
	t.flushed = t.self.seq
	first, ops, _ = t.since(have)
	return first, ops
}

// lingers is a heap.
type lingers []*linger

func (ls lingers) Len() int           { return len(ls) }
func (ls lingers) Less(i, j int) bool { return ls[i].end.Before(ls[j].end) }
func (ls lingers) Swap(i, j int)      { ls[i], ls[j] = ls[j], ls[i] }
func (ls *lingers) Push(x any)        { *ls = append(*ls, x.(*linger)) }

func (ls *lingers) Pop() any {
	old := *ls
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*ls = old[:len(old)-1]
	return l
}
