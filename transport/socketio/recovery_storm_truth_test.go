package socketio_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/carillonhq/carillon/transport/socketio"
)

// soon is how long what nodes tell each other takes at most, if it is lost once,
// while it is calm.
const soon = 6 * time.Second

// A stormEvent is a durable event.
type stormEvent struct {
	from  *ship
	what  string
	all   bool                // a broadcast, which has its order among those of its node
	room  string              // that it was to, or not to
	must  map[*passenger]bool // sessions that have to get it,
	may   map[*passenger]bool // and that may
	since time.Time

	fouled bool // it was not calm
}

// A passenger is what is true of a session: of each life that it has had.
type passenger struct {
	id      string
	life    int
	sockets []*socketio.Socket // all that there were,
	ships   []*ship            // and where
	rooms   map[string]*berth
	born    time.Time
	out     time.Time // when it was put out; zero: it was not
	lost    bool      // it may have been put out, or not
	story   []string
}

// A berth is what is true of a session and a room.
type berth struct {
	in     bool
	unsure bool // whether the last change was heard
	since  time.Time
}

func (b *berth) settled() bool { return !b.unsure && time.Since(b.since) > soon }

var stormRooms = []string{"r0", "r1"}

// connected is told of each socket.
func (w *sea) connected(n *ship, s *socketio.Socket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := w.sessions[s.ID()]
	if before := o; o == nil || s.Restored() {
		o = &passenger{id: s.ID(), rooms: make(map[string]*berth), born: time.Now()}
		for _, r := range stormRooms {
			o.rooms[r] = &berth{in: slices.Contains(s.Rooms(), r), unsure: !w.calm(), since: time.Now()}
			if before == nil {
				continue
			}
			if b := before.rooms[r]; b.settled() && b.in != o.rooms[r].in && s.Connected() {
				w.t.Errorf("%s is restored, in room %s %v, want %v since %v", s.ID(), r, o.rooms[r].in, b.in, time.Since(b.since))
			}
		}
		if before != nil {
			o.life = before.life + 1
		}
		w.sessions[s.ID()] = o
	}
	o.sockets, o.ships = append(o.sockets, s), append(o.ships, n)
}

func (w *sea) calm() bool { return time.Now().After(w.rough) }

// foul says that it is not calm for a while and, unless n is nil, that what was
// said by it lately, or to single sockets, may be lost. It needs mu.
func (w *sea) foul(n *ship, d time.Duration) {
	if until := time.Now().Add(d); until.After(w.rough) {
		w.rough = until
	}
	for _, e := range w.events {
		e.fouled = e.fouled || time.Since(e.since) < soon
		if age := time.Since(e.since); n != nil && (e.from == n && age < 15*time.Second || !e.all && age < soon) {
			e.excuse(func(*passenger) bool { return true })
		}
	}
	for _, o := range w.sessions {
		for _, b := range o.rooms {
			b.unsure = b.unsure || time.Since(b.since) < soon
		}
		o.lost = o.lost || !o.out.IsZero() && time.Since(o.out) < soon
	}
}

// excuse has those sessions not miss the event who must have got it.
func (e *stormEvent) excuse(which func(*passenger) bool) {
	for o := range e.must {
		if which(o) {
			delete(e.must, o)
			e.may[o] = true
		}
	}
}

// change notes that a session is about to join or leave a room.
func (w *sea) change(o *passenger, room string, in bool) {
	o.story = append(o.story, fmt.Sprint(time.Now().Format("05.000 "), room, " ", in, ";"))
	overlaps := time.Since(o.rooms[room].since) < soon // with one that may be heard later
	o.rooms[room] = &berth{in: in, unsure: overlaps || !w.calm(), since: time.Now()}
	for _, e := range w.events {
		if e.room == room && (time.Since(e.since) < soon || !w.calm()) {
			e.excuse(func(other *passenger) bool { return other == o })
			e.may[o] = true
		}
	}
}

// act does something, somewhere. It needs mu.
func (w *sea) act() {
	var awake []*ship
	for _, n := range w.afloat {
		if !n.frozen && time.Since(n.since) > soon {
			awake = append(awake, n)
		}
	}
	if len(awake) == 0 {
		return
	}
	from := awake[w.rng.IntN(len(awake))]
	n := from.Of("/")
	ids := make([]string, 0, len(w.sessions))
	for id := range w.sessions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	room := stormRooms[w.rng.IntN(2)]
	number := len(w.events)
	e := &stormEvent{from: from, must: make(map[*passenger]bool), may: make(map[*passenger]bool), since: time.Now(), fouled: !w.calm()}
	broadcast := func(to string, in bool) {
		e.all, e.room, e.what = true, to, fmt.Sprint("to ", to, in)
		for _, o := range w.sessions {
			switch b := o.rooms[to]; {
			case b != nil && !b.settled():
				e.may[o] = true
			case b == nil || b.in == in:
				e.must[o] = true
			}
		}
		w.said(e)
	}
	var o *passenger
	if len(ids) > 0 {
		o = w.sessions[ids[w.rng.IntN(len(ids))]]
	}
	switch k := w.rng.IntN(100); {
	case k < 20:
		broadcast("", true)
		_ = n.Emit("e", number)
	case k < 37:
		broadcast(room, true)
		_ = n.To(room).Emit("e", number)
	case k < 45:
		broadcast(room, false)
		_ = n.Except(room).Emit("e", number)
	case k < 52:
		_ = n.Volatile().Emit("v", w.rng.IntN(1<<30), "text")
	case o == nil:
	case k < 64:
		w.single(e, o, "to the id")
		_ = n.To(o.id).Emit("e", number)
	case k < 78:
		if i := w.object(o); i >= 0 {
			e.from = o.ships[i]
			w.single(e, o, fmt.Sprintf("by socket %d of %d", i, len(o.sockets)))
			_ = o.sockets[i].Emit("e", number)
		}
	case k < 85:
		if i := w.object(o); i >= 0 {
			if in := w.rng.IntN(2) == 0; in {
				w.change(o, room, in)
				o.sockets[i].Join(room)
			} else {
				w.change(o, room, in)
				o.sockets[i].Leave(room)
			}
		}
	case k < 92:
		if in := w.rng.IntN(2) == 0; in {
			w.change(o, room, in)
			_ = n.To(o.id).SocketsJoin(room)
		} else {
			w.change(o, room, in)
			_ = n.To(o.id).SocketsLeave(room)
		}
	case k < 98:
		number := w.rng.IntN(1 << 30)
		go func() { // ends with ctx
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_, _ = n.To(room).EmitWithAck(ctx, "a", number, "text")
		}()
	default:
		w.totals.Kicked++
		o.lost = o.lost || !w.calm()
		if o.out.IsZero() {
			o.out = time.Now()
		}
		_ = n.To(o.id).DisconnectSockets(w.rng.IntN(2) == 0)
	}
}

func (w *sea) said(e *stormEvent) {
	w.events = append(w.events, e)
	w.totals.Events++
}

func (w *sea) single(e *stormEvent, o *passenger, what string) {
	e.what = what
	if w.calm() {
		e.must[o] = true
	} else {
		e.may[o] = true
	}
	w.said(e)
}

// object returns which of the objects of a session's sockets is to act, or -1.
func (w *sea) object(o *passenger) int {
	i := w.rng.IntN(len(o.sockets))
	if n := o.ships[i]; n.frozen || time.Since(n.since) < soon || !slices.Contains(w.afloat, n) {
		return -1
	}
	return i
}
