package adapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/carillonhq/carillon/broker"
)

// channel is the adapter's name on the bus.
const channel = "adapter"

// Options tune a Cluster. The zero value is ready for use.
type Options struct {
	// Locate, if set, says which nodes may hold members of a room, where that
	// is known: of a user's room, say, to one who keeps track of users. What
	// is meant for such rooms alone goes to those nodes only, and sockets of
	// others will not get it: when in doubt, it reports that it does not know,
	// and all nodes are told. It is called within each call that has a Target
	// with few rooms, and must not block.
	Locate func(namespace string, room Room) (nodes []broker.NodeID, known bool)

	Logger *slog.Logger // receives what no caller can be told. Default: slog.Default().
	Hooks  Hooks        // observe; a nil field is skipped.
}

// Hooks are called on the goroutine that does the work and must not block.
type Hooks struct {
	// Malformed is called for a message of another node that could not be
	// read and was dropped.
	Malformed func(from broker.Member)
}

// A Cluster is the rooms of many namespaces on many nodes: a Local for each
// namespace, and a Bus that tells the other nodes.
type Cluster struct {
	bus    *broker.Bus
	logger *slog.Logger
	hooks  Hooks
	locate func(namespace string, room Room) ([]broker.NodeID, bool)
	asks   asks
	pages  pages

	mu         sync.RWMutex // guards namespaces
	namespaces map[string]*clustered
}

// NewCluster returns a Cluster on bus, which stays open when the Cluster's
// adapters are closed. One Cluster serves all namespaces of a process.
func NewCluster(bus *broker.Bus, opts Options) *Cluster {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	c := &Cluster{
		bus:        bus,
		logger:     opts.Logger.With("component", "adapter"),
		hooks:      opts.Hooks,
		locate:     opts.Locate,
		namespaces: make(map[string]*clustered),
	}
	c.asks.init()
	bus.Handle(channel, c.receive)
	bus.Respond(channel, c.respond)
	bus.Watch(func(e broker.Event) {
		if e.Kind == broker.NodeDown {
			c.asks.down(e.Node.ID)
			c.pages.down(e.Node.ID)
		}
	})
	return c
}

// Namespace returns the Adapter of a namespace, the same one at every call
// until it is closed. It is a Watcher. Namespaces know nothing of each other; a node that has
// not opened one holds no sockets of it.
func (c *Cluster) Namespace(name string) Adapter {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.namespaces[name]
	if n == nil {
		n = &clustered{Local: newLocal(c.bus.Self().ID.Short()), cluster: c, name: name}
		c.namespaces[name] = n
	}
	return n
}

// Namespaces returns the names of the namespaces that were opened and not
// closed since, sorted.
func (c *Cluster) Namespaces() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Sorted(maps.Keys(c.namespaces))
}

// AwaitNodes returns once at least n other nodes are up: what is broadcast
// before the first is reaches nobody, which matters to a program that begins
// with it. It fails with ctx's error, in an error that says how many are up.
func (c *Cluster) AwaitNodes(ctx context.Context, n int) error {
	change := make(chan struct{}, 1)
	defer c.bus.Watch(func(broker.Event) {
		select {
		case change <- struct{}{}:
		default:
		}
	})()
	for {
		up := len(c.bus.Members())
		if up >= n {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return fmt.Errorf("adapter: %d other nodes awaited, %d are up: %w", n, up, context.Cause(ctx))
		}
	}
}

func (c *Cluster) lookup(name string) *Local {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if n := c.namespaces[name]; n != nil {
		return n.Local
	}
	return nil
}

// receive does here what another node asked all or us to do.
func (c *Cluster) receive(msg broker.Message) {
	m, err := decodeMessage(msg.Body)
	if err != nil {
		c.malformed(msg.From, err)
		return
	}
	switch m.kind {
	case kindAnswer:
		if err := c.asks.answered(msg.From, m.body); err != nil {
			c.malformed(msg.From, err)
		}
		return
	case kindForget:
		if err := c.forgotten(msg.From, m.body); err != nil {
			c.malformed(msg.From, err)
		}
		return
	}
	local := c.lookup(m.namespace)
	if local == nil {
		return
	}
	switch m.kind {
	case kindBroadcast:
		local.deliver(m.target, m.packet(m.body))
	case kindJoin, kindLeave:
		rooms, err := decodeRooms(m.body)
		if err != nil {
			c.malformed(msg.From, err)
			return
		}
		if m.kind == kindJoin {
			local.JoinAll(m.target, rooms...)
		} else {
			local.LeaveAll(m.target, rooms...)
		}
	case kindDisconnect:
		local.DisconnectAll(m.target, m.flags&flagClose != 0)
	case kindTell:
		if h := local.nodeHandler(); h != nil {
			h(msg.From.Name, m.body, nil)
		}
	default:
		c.malformed(msg.From, errMalformed)
	}
}

// respond answers another node's request.
func (c *Cluster) respond(msg broker.Message) ([]byte, error) {
	m, err := decodeMessage(msg.Body)
	var answer []byte
	if err == nil {
		answer, err = c.answerTo(msg.From, &m)
	}
	if errors.Is(err, errMalformed) {
		c.malformed(msg.From, err)
	}
	return answer, err
}

func (c *Cluster) answerTo(from broker.Member, m *message) ([]byte, error) {
	local := c.lookup(m.namespace)
	if m.kind == kindNextPage {
		return c.page(from, nil, m)
	} else if local == nil {
		return []byte{0}, nil // none of anything, and no more pages
	}
	var n int
	var err error
	switch m.kind {
	case kindDeliver:
		n, err = local.deliver(m.target, m.packet(m.body))
	case kindAsk:
		n, err = c.asked(from, local, m)
	case kindAskNodes:
		n, err = c.askedNode(from, local, m)
	case kindCount:
		n, err = local.Count(context.Background(), m.target) // it waits for nothing
	case kindFetch, kindRooms:
		return c.page(from, local, m)
	default:
		err = errMalformed
	}
	return appendNumber(nil, uint64(n)), err
}

func (c *Cluster) malformed(from broker.Member, err error) {
	c.logger.Debug("malformed message dropped", "from", from.Name, "error", err)
	if c.hooks.Malformed != nil {
		c.hooks.Malformed(from)
	}
}

// clustered is one namespace's Local, and the others' by the bus.
type clustered struct {
	*Local
	cluster *Cluster
	name    string
}

var _ Watcher = (*clustered)(nil)

func packetFlags(p *Packet) (flags byte) {
	if p.Volatile {
		flags |= flagVolatile
	}
	if p.NoCompress {
		flags |= flagNoCompress
	}
	return flags
}

// packet returns the Packet that a message carries.
func (m *message) packet(data []byte) *Packet {
	return &Packet{Data: data, Volatile: m.flags&flagVolatile != 0, NoCompress: m.flags&flagNoCompress != 0}
}

// Broadcast implements Adapter.
func (n *clustered) Broadcast(t Target, p *Packet) error {
	if _, err := n.deliver(t, p); err != nil {
		return err
	}
	return n.tell(kindBroadcast, packetFlags(p), t, p.Data)
}

// Deliver implements Adapter.
func (n *clustered) Deliver(t Target, p *Packet) *Receipt {
	local, err := n.deliver(t, p)
	r := &Receipt{local: local, err: err}
	if err != nil {
		return r
	}
	g, err := n.ask(kindDeliver, packetFlags(p), t, p.Data)
	r.err = err
	if g != nil {
		r.wait = func(ctx context.Context) (int, error) { return sum(ctx, g) }
	}
	return r
}

// Count implements Adapter.
func (n *clustered) Count(ctx context.Context, t Target) (int, error) {
	local, err := n.Local.Count(ctx, t)
	if err != nil {
		return 0, err
	}
	g, err := n.ask(kindCount, 0, t, nil)
	if g == nil {
		return local, err
	}
	others, err := sum(ctx, g)
	return local + others, err
}

func sum(ctx context.Context, g *broker.Gather) (total int, err error) {
	err = gather(ctx, g, func(_ broker.Member, body []byte) error {
		n, err := decodeCount(body)
		total += n
		return err
	})
	return total, err
}

// JoinAll implements Adapter.
func (n *clustered) JoinAll(t Target, rooms ...Room) error {
	if err := n.Local.JoinAll(t, rooms...); err != nil {
		return err
	}
	return n.tell(kindJoin, 0, t, appendRooms(nil, rooms))
}

// LeaveAll implements Adapter.
func (n *clustered) LeaveAll(t Target, rooms ...Room) error {
	if err := n.Local.LeaveAll(t, rooms...); err != nil {
		return err
	}
	return n.tell(kindLeave, 0, t, appendRooms(nil, rooms))
}

// DisconnectAll implements Adapter.
func (n *clustered) DisconnectAll(t Target, close bool) error {
	if err := n.Local.DisconnectAll(t, close); err != nil {
		return err
	}
	var flags byte
	if close {
		flags = flagClose
	}
	return n.tell(kindDisconnect, flags, t, nil)
}

// Close implements Adapter.
func (n *clustered) Close() error {
	c := n.cluster
	c.mu.Lock()
	if c.namespaces[n.name] == n {
		delete(c.namespaces, n.name)
	}
	c.mu.Unlock()
	return n.Local.Close()
}
