package socketio

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport/engineio"
)

// An Observer is told what becomes of the sockets of this node that Hooks and
// handlers do not tell. A nil field is skipped. Its functions are called on the
// goroutine that does the work and must not block.
type Observer struct {
	Upgraded func(s *Socket) // the client went from polling to WebSocket
	DataSet  func(s *Socket) // SetData was called while the socket was connected

	Engine engineio.Observer // of the sessions below
}

// observers are an Observer each; the slice is never changed, but replaced.
type observers struct{ all atomic.Pointer[[]*Observer] }

// Observe has o called until stop is.
func (s *Server) Observe(o Observer) (stop func()) {
	change := func(f func([]*Observer) []*Observer) {
		s.mu.Lock()
		defer s.mu.Unlock()
		all := f(s.observers.get())
		s.observers.all.Store(&all)
	}
	change(func(all []*Observer) []*Observer { return append(slices.Clip(all), &o) })
	stopEngine := s.engine.Observe(o.Engine)
	return func() {
		stopEngine()
		change(func(all []*Observer) []*Observer {
			return slices.DeleteFunc(slices.Clone(all), func(other *Observer) bool { return other == &o })
		})
	}
}

func (o *observers) get() []*Observer {
	if all := o.all.Load(); all != nil {
		return *all
	}
	return nil
}

// tell calls one function of each Observer.
func (o *observers) tell(s *Socket, which func(*Observer) func(*Socket)) {
	for _, observer := range o.get() {
		if f := which(observer); f != nil {
			f(s)
		}
	}
}

var _ engineio.Upgrader = (*client)(nil)

// Upgraded implements engineio.Upgrader.
func (c *client) Upgraded() {
	if len(c.server.observers.get()) == 0 {
		return
	}
	c.mu.Lock()
	sockets := c.sockets.all()
	c.mu.Unlock()
	for _, s := range sockets {
		if s.Connected() {
			c.server.observers.tell(s, func(o *Observer) func(*Socket) { return o.Upgraded })
		}
	}
}

// PollingSessions returns the number of clients connected to this node by
// long-polling.
func (s *Server) PollingSessions() int { return s.engine.PollingSessions() }

// Pipes returns the number of clients whose connection and whose sockets are at
// two nodes: those that are connected to this node, and those whose sockets are
// of this node. See engineio.Options.Peers.
func (s *Server) Pipes() (connections, sockets int) { return s.engine.Edges(), s.engine.Pipes() }

// Buffered returns the number of bytes that wait for clients of this node to
// take them. It goes through all clients.
func (s *Server) Buffered() int { return s.engine.Buffered() }

// Namespaces returns the namespaces that exist on this node, by their names.
func (s *Server) Namespaces() []*Namespace {
	s.mu.RLock()
	all := slices.Collect(maps.Values(s.namespaces))
	s.mu.RUnlock()
	slices.SortFunc(all, func(a, b *Namespace) int { return cmp.Compare(a.name, b.name) })
	return all
}

// Lookup returns the namespace of a name if it exists on this node, and else
// nil. Unlike Of it makes none.
func (s *Server) Lookup(name string) *Namespace {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.namespaces[name]
}

// Len returns the number of the namespace's sockets on this node.
func (n *Namespace) Len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.sockets)
}

// Alone reports whether no other node can hold sockets of the namespace at
// present. It is cheap.
func (n *Namespace) Alone() bool {
	w, ok := n.adapter.(adapter.Watcher)
	return ok && w.Alone()
}

// WatchRooms has h called for the rooms of this node's sockets until stop is
// called; see adapter.RoomHooks. A socket that comes or goes is locked
// meanwhile: h must not call Sockets nor emit to this namespace, but leave that
// to another goroutine. Nothing is told if the adapter is no adapter.Watcher.
func (n *Namespace) WatchRooms(h adapter.RoomHooks) (stop func()) {
	if w, ok := n.adapter.(adapter.Watcher); ok {
		return w.WatchRooms(h)
	}
	return func() {}
}

// ClientID returns a name for the client's connection, the same for its sockets
// in all namespaces. It is not the session's secret id, nor does it tell it.
func (s *Socket) ClientID() string {
	sum := sha256.Sum256([]byte("socketio client " + s.client.session.ID()))
	return base64.RawURLEncoding.EncodeToString(sum[:9]) // 12 characters
}
