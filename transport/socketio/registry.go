package socketio

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// A Registrar is what handlers are registered with: a *Namespace, or the
// *ParentNamespace of many.
type Registrar interface {
	Handle(event string, f Handler)
	HandleServer(event string, f ServerHandler)
}

var (
	_ Registrar = (*Namespace)(nil)
	_ Registrar = (*ParentNamespace)(nil)
)

// registry holds the handlers of a namespace.
type registry struct {
	changes sync.Mutex // serialises change
	current atomic.Pointer[handlers]
}

// handlers are never changed, but replaced: readers need no lock, and
// namespaces may share them.
type handlers struct {
	events     map[string]Handler
	server     map[string]ServerHandler
	use        []func(context.Context, *Socket) error
	connect    []func(context.Context, *Socket)
	disconnect []func(context.Context, *Socket, Reason)
	useEvent   []func(context.Context, *Socket, *Event) error
	anyIn      []func(context.Context, *Socket, *Event)
	anyOut     []func(*Socket, string, Args)
}

func (r *registry) change(f func(h *handlers)) {
	r.changes.Lock()
	defer r.changes.Unlock()
	h := *r.current.Load()
	f(&h)
	r.current.Store(&h)
}

// Use adds a middleware, called before a client is let in, after those added
// before. An error refuses the client, who is told the text of an *Error and
// of no other. The socket may join rooms already; it can't emit yet.
func (r *registry) Use(f func(ctx context.Context, s *Socket) error) {
	r.change(func(h *handlers) { h.use = append(slices.Clip(h.use), f) })
}

// OnConnect adds a function that is called for each socket that was let in,
// before any of its events is handled.
func (r *registry) OnConnect(f func(ctx context.Context, s *Socket)) {
	r.change(func(h *handlers) { h.connect = append(slices.Clip(h.connect), f) })
}

// OnDisconnect adds a function that is called once for each socket that
// OnConnect was called for, after the last of its events was handled. It is
// "disconnecting" and "disconnect" of Socket.IO for Node in one: the socket is
// out of its rooms, so that no broadcast counts on it, but its Rooms still
// returns those that it was in. (With Recovery it may be in them, for its client
// to come back to.) ctx is not cancelled.
func (r *registry) OnDisconnect(f func(ctx context.Context, s *Socket, reason Reason)) {
	r.change(func(h *handlers) { h.disconnect = append(slices.Clip(h.disconnect), f) })
}

// Handle sets the Handler of an event; On and Reply do with types. It panics
// for a reserved name and for a second Handler of the same event.
func (r *registry) Handle(event string, f Handler) {
	if reserved[event] {
		panic("socketio: Handle " + event + ": reserved event name")
	}
	r.change(func(h *handlers) {
		if h.events[event] != nil {
			panic("socketio: Handle " + event + ": there is a handler already")
		}
		h.events = with(h.events, event, f)
	})
}

// with returns a copy of m that has v, too.
func with[V any](m map[string]V, name string, v V) map[string]V {
	m = maps.Clone(m)
	if m == nil {
		m = make(map[string]V)
	}
	m[name] = v
	return m
}

// Handles reports whether an event has a Handler.
func (r *registry) Handles(event string) bool { return r.current.Load().events[event] != nil }

// UseEvent adds a middleware for what clients emit, called before the event's
// Handler (if there is one), after those added before. With an error the event
// goes no further: the client gets it as a Handler's error, if it asked for an
// acknowledgement, and Hooks.EventRefused is told.
func (r *registry) UseEvent(f func(ctx context.Context, s *Socket, e *Event) error) {
	r.change(func(h *handlers) { h.useEvent = append(slices.Clip(h.useEvent), f) })
}

// OnAny adds a function that sees every event of a client, also one without a
// Handler, before middlewares and the Handler do.
func (r *registry) OnAny(f func(ctx context.Context, s *Socket, e *Event)) {
	r.change(func(h *handlers) { h.anyIn = append(slices.Clip(h.anyIn), f) })
}

// OnAnyOutgoing adds a function that sees every event before it is queued for
// a client of this node: broadcasts, of whichever node, are seen once for each
// client. Acknowledgements are no events. It is called by whoever emits, and
// must not block, nor emit to the same namespace.
func (r *registry) OnAnyOutgoing(f func(s *Socket, event string, args Args)) {
	r.change(func(h *handlers) { h.anyOut = append(slices.Clip(h.anyOut), f) })
}
