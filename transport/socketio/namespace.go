package socketio

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/carillonhq/carillon/adapter"
)

// A Namespace is a channel of its own on the clients' connections, with its
// own sockets, rooms, middlewares and handlers. All methods may be called
// concurrently; what is registered takes effect for what comes after.
type Namespace struct {
	server  *Server
	name    string
	adapter adapter.Adapter
	ackID   atomic.Uint64 // of events that ask a client for an acknowledgement

	mu       sync.Mutex // serialises changes of handlers
	handlers atomic.Pointer[handlers]
}

// handlers are never changed, but replaced.
type handlers struct {
	events     map[string]Handler
	use        []func(context.Context, *Socket) error
	connect    []func(context.Context, *Socket)
	disconnect []func(context.Context, *Socket, Reason)
}

func newNamespace(s *Server, name string, a adapter.Adapter) *Namespace {
	n := &Namespace{server: s, name: name, adapter: a}
	n.handlers.Store(new(handlers))
	return n
}

// Name returns the namespace's name, which begins with a slash.
func (n *Namespace) Name() string { return n.name }

func (n *Namespace) change(f func(h *handlers)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := *n.handlers.Load()
	f(&h)
	n.handlers.Store(&h)
}

// Use adds a middleware, called before a client is let in, after those added
// before. An error refuses the client, who is told the text of an *Error and
// of no other. The socket may join rooms already; it can't emit yet.
func (n *Namespace) Use(f func(ctx context.Context, s *Socket) error) {
	n.change(func(h *handlers) { h.use = append(slices.Clip(h.use), f) })
}

// OnConnect adds a function that is called for each socket that was let in,
// before any of its events is handled.
func (n *Namespace) OnConnect(f func(ctx context.Context, s *Socket)) {
	n.change(func(h *handlers) { h.connect = append(slices.Clip(h.connect), f) })
}

// OnDisconnect adds a function that is called once for each socket that
// OnConnect was called for, after the last of its events was handled. The
// socket's Rooms are still those that it was in. ctx is not cancelled.
func (n *Namespace) OnDisconnect(f func(ctx context.Context, s *Socket, reason Reason)) {
	n.change(func(h *handlers) { h.disconnect = append(slices.Clip(h.disconnect), f) })
}

// Handle sets the Handler of an event; On and Reply do with types. It panics
// for a reserved name and for a second Handler of the same event.
func (n *Namespace) Handle(event string, f Handler) {
	if reserved[event] {
		panic("socketio: Handle " + event + ": reserved event name")
	}
	n.change(func(h *handlers) {
		if h.events[event] != nil {
			panic("socketio: Handle " + event + ": there is a handler already")
		}
		h.events = maps.Clone(h.events)
		if h.events == nil {
			h.events = make(map[string]Handler)
		}
		h.events[event] = f
	})
}

func (n *Namespace) all() Emitter { return Emitter{namespace: n} }

// To returns an Emitter to the members of any of rooms, on all nodes.
func (n *Namespace) To(rooms ...string) Emitter { return n.all().To(rooms...) }

// Except returns an Emitter to all sockets but the members of rooms.
func (n *Namespace) Except(rooms ...string) Emitter { return n.all().Except(rooms...) }

// Local returns an Emitter to the sockets of this node.
func (n *Namespace) Local() Emitter { return n.all().Local() }

// Volatile returns an Emitter whose events may be lost; see Emitter.Volatile.
func (n *Namespace) Volatile() Emitter { return n.all().Volatile() }

// Deliver is Emit with a receipt; see Emitter.Deliver.
func (n *Namespace) Deliver(event string, args ...any) (*adapter.Receipt, error) {
	return n.all().Deliver(event, args...)
}

// Emit sends an event to all sockets of the namespace, on all nodes.
func (n *Namespace) Emit(event string, args ...any) error { return n.all().Emit(event, args...) }

// FetchSockets describes all sockets of the namespace; see
// Emitter.FetchSockets.
func (n *Namespace) FetchSockets(ctx context.Context) ([]RemoteSocket, error) {
	return n.all().FetchSockets(ctx)
}
