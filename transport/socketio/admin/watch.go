package admin

import (
	"context"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport/socketio"
)

// watch tells administrators all that goes on in a namespace.
func (a *Admin) watch(n *socketio.Namespace) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, twice := a.watched[n]; twice || a.closed {
		return
	}
	a.watched[n] = n.WatchRooms(adapter.RoomHooks{
		Joined: func(room adapter.Room, id adapter.SocketID) {
			a.tell("room_joined", func() []any { return []any{n.Name(), room, id, timestamp(time.Now())} })
		},
		Left: func(room adapter.Room, id adapter.SocketID) {
			a.tell("room_left", func() []any { return []any{n.Name(), room, id, timestamp(time.Now())} })
		},
	})
	n.OnConnect(func(_ context.Context, s *socketio.Socket) {
		a.tell("socket_connected", func() []any { return []any{describe(s), timestamp(time.Now())} })
	})
	n.OnDisconnect(func(_ context.Context, s *socketio.Socket, reason socketio.Reason) {
		a.tell("socket_disconnected", func() []any { return []any{n.Name(), s.ID(), reason, timestamp(time.Now())} })
	})
	if n == a.namespace {
		return // what administrators are told is not told them again
	}
	n.OnAny(func(_ context.Context, s *socketio.Socket, e *socketio.Event) {
		a.copy("event_received", s, e.Name, e.Args)
	})
	n.OnAnyOutgoing(func(s *socketio.Socket, event string, args socketio.Args) {
		a.copy("event_sent", s, event, args)
	})
}

// prune forgets namespaces that do not exist any more.
func (a *Admin) prune() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n := range a.watched {
		if a.io.Lookup(n.Name()) != n {
			delete(a.watched, n) // its adapter is closed
		}
	}
}

// tell queues an event for administrators, if any may be there.
func (a *Admin) tell(event string, args func() []any) {
	if !a.silent() {
		a.queue.put(message{event: event, args: args()})
	}
}

// copy queues a copy of an application's event.
func (a *Admin) copy(event string, s *socketio.Socket, name string, args socketio.Args) {
	if a.silent() {
		return
	}
	copied := make([]any, 0, 1+len(args))
	copied = append(copied, name)
	for _, arg := range args {
		copied = append(copied, arg)
	}
	a.queue.put(message{
		event:  event,
		args:   []any{s.Namespace().Name(), s.ID(), copied, timestamp(time.Now())},
		copied: true,
	})
}

// updated is the event "socket_updated": what has changed of a socket.
type updated struct {
	ID        string `json:"id"`
	Namespace string `json:"nsp"`
	Transport string `json:"transport,omitempty"`
	Data      any    `json:"data,omitempty"`
}

func (a *Admin) upgraded(s *socketio.Socket) {
	a.tell("socket_updated", func() []any {
		return []any{updated{ID: s.ID(), Namespace: s.Namespace().Name(), Transport: s.Transport()}}
	})
}

func (a *Admin) dataSet(s *socketio.Socket) {
	a.tell("socket_updated", func() []any {
		return []any{updated{ID: s.ID(), Namespace: s.Namespace().Name(), Data: dataOf(s)}}
	})
}

// timestamp is a time as JSON has a Date.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
