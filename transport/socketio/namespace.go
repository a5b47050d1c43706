package socketio

import (
	"context"
	"iter"
	"log/slog"
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
	registry
	server  *Server
	name    string
	adapter adapter.Adapter
	log     *adapter.Log     // nil: clients are not recovered
	moves   *moves           // nil: there are no nodes where they could be
	wills   *wills           // nil: no other nodes keep any
	parent  *ParentNamespace // of a dynamic namespace
	ackID   atomic.Uint64    // of events that ask clients for an acknowledgement
	born    sync.Once        // OnNamespace's functions are called
	users   int              // sockets that have not quite ended; guarded by server.mu
	inbox   inbox            // of other nodes' events
	ctx     context.Context  // ours, not a caller's: of their handlers; ends in stop
	cancel  context.CancelFunc

	mu      sync.Mutex // guards sockets and seats, and the end of ctx
	sockets map[adapter.SocketID]*Socket
	seats   map[string]*seat // by their clients' secret
}

func newNamespace(s *Server, name string, a adapter.Adapter) *Namespace {
	n := &Namespace{server: s, name: name, adapter: a, sockets: make(map[adapter.SocketID]*Socket)}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.current.Store(new(handlers))
	return n
}

// Name returns the namespace's name, which begins with a slash.
func (n *Namespace) Name() string { return n.name }

// Parent returns the parent of a dynamic namespace, and nil of any other.
func (n *Namespace) Parent() *ParentNamespace { return n.parent }

// Sockets ranges over the sockets of this node that are connected at the call.
// FetchSockets describes those of all nodes.
func (n *Namespace) Sockets() iter.Seq[*Socket] {
	n.mu.Lock()
	all := slices.Collect(maps.Values(n.sockets))
	n.mu.Unlock()
	return slices.Values(all)
}

// Socket returns the connected socket of this node that has an id, or nil. To
// reach a socket wherever it is, use To(id).
func (n *Namespace) Socket(id string) *Socket {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sockets[adapter.SocketID(id)]
}

// Rooms returns the rooms that sockets of this node are in, but for the own
// room of each, and how many they are. It goes through all sockets;
// Emitter.Count counts one room on all nodes, and AllRooms all of them.
func (n *Namespace) Rooms() map[string]int {
	rooms := make(map[string]int)
	for s := range n.Sockets() {
		for _, r := range n.adapter.Rooms(s.id) {
			if r != adapter.Room(s.id) {
				rooms[string(r)]++
			}
		}
	}
	return rooms
}

// AllRooms returns the rooms that sockets of any node are in, but for the own
// room of each, and how many they are. If nodes did not answer before ctx was
// done, it counts the others' and returns an *adapter.PartialError.
func (n *Namespace) AllRooms(ctx context.Context) (map[string]int, error) {
	all, err := n.adapter.AllRooms(ctx)
	rooms := make(map[string]int, len(all))
	for room, members := range all {
		rooms[string(room)] = members
	}
	return rooms, err
}

func (n *Namespace) logger() *slog.Logger { return n.server.logger.With("namespace", n.name) }

func (n *Namespace) add(s *Socket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sockets[s.id] = s
}

func (n *Namespace) remove(s *Socket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sockets[s.id] == s {
		delete(n.sockets, s.id)
	}
}

func (n *Namespace) all() Emitter { return Emitter{namespace: n} }

// To returns an Emitter to the members of any of rooms, on all nodes.
func (n *Namespace) To(rooms ...string) Emitter { return n.all().To(rooms...) }

// Except returns an Emitter to all sockets but the members of rooms.
func (n *Namespace) Except(rooms ...string) Emitter { return n.all().Except(rooms...) }

// Local returns an Emitter to the sockets of this node.
func (n *Namespace) Local() Emitter { return n.all().Local() }

// Context returns an Emitter whose events are part of a trace; see
// Emitter.Context.
func (n *Namespace) Context(ctx context.Context) Emitter { return n.all().Context(ctx) }

// Volatile returns an Emitter whose events may be lost; see Emitter.Volatile.
func (n *Namespace) Volatile() Emitter { return n.all().Volatile() }

// Compress returns an Emitter; see Emitter.Compress.
func (n *Namespace) Compress(on bool) Emitter { return n.all().Compress(on) }

// Deliver is Emit with a receipt; see Emitter.Deliver.
func (n *Namespace) Deliver(event string, args ...any) (*adapter.Receipt, error) {
	return n.all().Deliver(event, args...)
}

// Emit sends an event to all sockets of the namespace, on all nodes.
func (n *Namespace) Emit(event string, args ...any) error { return n.all().Emit(event, args...) }

// EmitWithAck sends an event to all sockets of the namespace, and returns
// their acknowledgements; see Emitter.EmitWithAck.
func (n *Namespace) EmitWithAck(ctx context.Context, event string, args ...any) ([]Args, error) {
	return n.all().EmitWithAck(ctx, event, args...)
}

// FetchSockets describes all sockets of the namespace; see
// Emitter.FetchSockets.
func (n *Namespace) FetchSockets(ctx context.Context) ([]RemoteSocket, error) {
	return n.all().FetchSockets(ctx)
}
