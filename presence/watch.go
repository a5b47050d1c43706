package presence

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"

	"github.com/carillonhq/carillon/broker"
)

// watchers are told of changes by a goroutine that lives while there are any.
type watchers struct {
	notes    []note
	telling  bool
	watching []*watcher // is replaced, never changed
}

// A note is what is to be told.
type note struct {
	what     noteKind
	state    State
	change   Change
	replaced *Replaced
}

type noteKind uint8

const (
	noteChange noteKind = iota
	noteState
	noteReplaced
)

// A watcher has one of three functions.
type watcher struct {
	from     uint64 // the latest change that it knows
	change   func(Change)
	state    func(State)
	replaced func(Replaced)
}

// note has the watchers told. t.mu is held.
func (t *Tracker) note(n note) {
	if t.closed {
		return
	}
	if n.what == noteChange {
		if len(t.watching) == 0 {
			return
		}
		if len(t.notes) >= queued {
			// Nobody waits for a watcher that is too slow.
			t.notes = slices.DeleteFunc(t.notes, func(n note) bool { return n.what == noteChange })
			n.change = Change{Seq: n.change.Seq, Kind: Reset}
		}
	}
	t.notes = append(t.notes, n)
	if !t.telling {
		t.telling = true
		t.wg.Go(t.tellAll) // ends when all is told, or with the Tracker
	}
}

// replaced tells whose place of a device is the older one. t.mu is held.
func (t *Tracker) replaced(h *Hold, by broker.Member) {
	t.note(note{what: noteReplaced, replaced: &Replaced{User: h.e.user(), Device: h.e.id(), By: by, Hold: h}})
}

func (t *Tracker) tellAll() {
	var notes []note
	for {
		t.mu.Lock()
		clear(notes)
		notes, t.notes = t.notes, notes[:0]
		if len(notes) == 0 || t.closed {
			t.telling, t.notes = false, nil
			t.mu.Unlock()
			return
		}
		ws := t.watching
		t.mu.Unlock()
		for i := range notes {
			t.tellOne(&notes[i], ws)
		}
	}
}

func (t *Tracker) tellOne(n *note, ws []*watcher) {
	if h := t.opts.Hooks.State; h != nil && n.what == noteState {
		h(n.state)
	}
	for _, w := range ws {
		switch {
		case n.what == noteChange && w.change != nil:
			if n.change.Seq > w.from {
				t.guard(func() { w.change(n.change) })
			}
		case n.what == noteState && w.state != nil:
			t.guard(func() { w.state(n.state) })
		case n.what == noteReplaced && w.replaced != nil:
			t.guard(func() { w.replaced(*n.replaced) })
		}
	}
}

// guard calls f, which is not ours, and survives its panic.
func (t *Tracker) guard(f func()) {
	defer func() {
		if r := recover(); r != nil {
			t.log.Error("panic in a watcher of presence", "panic", fmt.Sprint(r), slog.String("stack", string(debug.Stack())))
		}
	}()
	f()
}

// watch registers w. t.mu is held.
func (t *Tracker) watch(w *watcher) (cancel func()) {
	t.watching = append(t.watching[:len(t.watching):len(t.watching)], w)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.watching = slices.DeleteFunc(slices.Clone(t.watching), func(o *watcher) bool { return o == w })
	}
}

// Watch calls f with every Change whose Seq is greater than seq, one at a
// time, in order, on a goroutine of the Tracker. f must not call Close. If it
// is so slow that too many changes wait, a Reset stands in their place. After
// cancel a call that is under way may still end.
func (t *Tracker) Watch(f func(Change)) (seq uint64, cancel func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seq, t.watch(&watcher{from: t.seq, change: f})
}

// WatchState calls f with every State that follows now, which is the State at
// the time of the call. All else is as with Watch, on the same goroutine.
func (t *Tracker) WatchState(f func(State)) (now State, cancel func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state, t.watch(&watcher{state: f})
}

// WatchReplaced calls f when a device that this node holds is tracked anew.
// On another node: of two places of one device, exactly one node is told so,
// that of the older one, whose Hold counts until it is let go. Or on this one:
// then the older Hold does nothing any more. All else is as with Watch, on the
// same goroutine.
func (t *Tracker) WatchReplaced(f func(Replaced)) (cancel func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.watch(&watcher{replaced: f})
}
