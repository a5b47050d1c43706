package announce

import (
	"context"
	"errors"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/socketio"
)

// blindRoom has the sockets that may not see presence.
const blindRoom = "presence:blind"

// watchRoom has the sockets that watch a user.
func watchRoom(user string) string { return "watch:" + user }

// changed takes a change of the view.
func (a *Announcer) changed(c presence.Change) {
	if c.Kind == presence.Reset {
		a.tellState() // clients read anew what they built from changes
		return
	}
	a.changes.add(c)
	if c.Kind != presence.Updated {
		a.counts.add(presence.Change{Kind: presence.Updated, Seq: c.Seq})
	}
}

type userEvent struct {
	User   string  `json:"user"`
	Room   string  `json:"room,omitempty"`
	Status *string `json:"status,omitempty"`
	Seq    uint64  `json:"seq"`
}

// eventOf returns a change's name and what it says.
func eventOf(c presence.Change) (string, userEvent) {
	e := userEvent{User: c.User, Seq: c.Seq}
	switch c.Kind {
	case presence.Online:
		if c.Status != "" {
			e.Status = &c.Status
		}
		return "presence:online", e
	case presence.Offline:
		return "presence:offline", e
	}
	e.Status = &c.Status
	return "presence:status", e
}

// tell tells of changes to whom the mode says.
func (a *Announcer) tell(cs []presence.Change) (frames int) {
	mode := a.inForce()
	for _, c := range cs {
		var rooms []string
		if mode != All {
			a.mu.Lock()
			watched := a.watched[c.User] > 0
			a.mu.Unlock()
			if !watched {
				continue
			}
			rooms = append(rooms, watchRoom(c.User))
		}
		event, e := eventOf(c)
		frames += a.emit(rooms, event, e)
	}
	return frames
}

// emit tells the clients of this node that may see presence, or those of them
// that are in a room, and returns how many there were.
func (a *Announcer) emit(rooms []string, event string, v any) (sockets int) {
	a.mu.Lock()
	namespaces := make([]*socketio.Namespace, 0, len(a.namespaces))
	for _, n := range a.namespaces {
		namespaces = append(namespaces, n.Namespace)
	}
	a.mu.Unlock()
	for _, n := range namespaces {
		sockets += a.emitIn(n, rooms, event, v)
	}
	return sockets
}

func (a *Announcer) emitIn(n *socketio.Namespace, rooms []string, event string, v any) int {
	r, err := n.Local().To(rooms...).Except(blindRoom).Deliver(event, v)
	sockets := 0
	if err == nil {
		sockets, err = r.Wait(context.Background()) // of this node alone, it does not wait
	}
	if err != nil && !errors.Is(err, adapter.ErrClosed) {
		a.opts.Logger.Error("presence not told", "event", event, "error", err)
	}
	if f := a.opts.Hooks.Told; f != nil && sockets > 0 {
		f(event, sockets)
	}
	return sockets
}

// inForce returns the mode, which depends on how many users there are.
func (a *Announcer) inForce() Mode {
	if a.opts.Mode != All {
		return a.opts.Mode
	}
	users := a.users.Counts().Users
	a.mu.Lock()
	before := a.mode
	switch {
	case users > a.opts.MaxUsers:
		a.mode = Counts
	case users <= a.opts.MaxUsers-a.opts.MaxUsers/5:
		a.mode = All
	}
	mode := a.mode
	a.mu.Unlock()
	if mode != before {
		if mode == Counts {
			a.opts.Logger.Warn("too many users to tell everyone of everyone: clients are told counts", "users", users, "max_users", a.opts.MaxUsers)
		} else {
			a.opts.Logger.Info("clients are told of everyone again", "users", users)
		}
		if f := a.opts.Hooks.Switched; f != nil {
			f(mode)
		}
		a.tellState()
	}
	return mode
}

type countsEvent struct {
	Users   int    `json:"users"`
	Devices int    `json:"devices"`
	Seq     uint64 `json:"seq"`
}

// tellCounts tells how many there are, if that is the mode.
func (a *Announcer) tellCounts(cs []presence.Change) int {
	if len(cs) == 0 || a.inForce() != Counts {
		return 0
	}
	n := a.users.Counts()
	return a.emit(nil, "presence:counts", countsEvent{n.Users, n.Devices, cs[0].Seq})
}

type stateEvent struct {
	Mode     Mode   `json:"mode"`
	State    string `json:"state"`
	Instance string `json:"instance"`
	countsEvent
}

func (a *Announcer) stateEvent() stateEvent {
	a.mu.Lock()
	mode := a.mode
	a.mu.Unlock()
	_, seq := a.users.Get()
	n := a.users.Counts()
	return stateEvent{mode, a.users.State().String(), a.node, countsEvent{n.Users, n.Devices, seq}}
}

// tellState tells all clients how things stand: they are to read anew what
// they know if the mode or the state is another one.
func (a *Announcer) tellState() { a.emit(nil, "presence:state", a.stateEvent()) }

func (a *Announcer) emitState(s *socketio.Socket) {
	if a.opts.Blind(s) {
		return
	}
	if err := s.EmitUnkept("presence:state", a.stateEvent()); err != nil {
		a.opts.Logger.Debug("presence not told", "socket", s.ID(), "error", err)
	}
}
