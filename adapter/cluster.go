package adapter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/carillonhq/carillon/broker"
)

// channel is the adapter's name on the bus.
const channel = "adapter"

// Options tune a Cluster. The zero value is ready for use.
type Options struct {
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
	asks   asks

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
		namespaces: make(map[string]*clustered),
	}
	c.asks.init()
	bus.Handle(channel, c.receive)
	bus.Respond(channel, c.respond)
	bus.Watch(func(e broker.Event) {
		if e.Kind == broker.NodeDown {
			c.asks.down(e.Node.ID)
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
		if err := c.asks.forget(msg.From, m.body); err != nil {
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
	default:
		c.malformed(msg.From, errMalformed)
	}
}

// respond answers another node's request.
func (c *Cluster) respond(msg broker.Message) ([]byte, error) {
	m, err := decodeMessage(msg.Body)
	if err != nil {
		c.malformed(msg.From, err)
		return nil, err
	}
	local := c.lookup(m.namespace)
	if local == nil {
		return []byte{0}, nil // none of anything
	}
	ctx := context.Background() // Local waits for nothing
	var n int
	switch m.kind {
	case kindDeliver:
		n, err = local.deliver(m.target, m.packet(m.body))
	case kindAsk:
		n, err = c.asked(msg.From, local, &m)
		if errors.Is(err, errMalformed) {
			c.malformed(msg.From, err)
		}
	case kindCount:
		n, err = local.Count(ctx, m.target)
	case kindFetch:
		infos, err := local.Fetch(ctx, m.target)
		return appendInfos(nil, infos), err
	default:
		err = errMalformed
	}
	return binary.AppendUvarint(nil, uint64(n)), err
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

// route says who but this node must hear of what is meant for t: no one, the
// one node that holds the only socket concerned, or all.
func (n *clustered) route(t Target) (nodes []broker.NodeID, others bool) {
	if t.Local {
		return nil, false
	}
	if len(t.Rooms) == 1 && len(t.Rooms[0]) == idLen {
		bus := n.cluster.bus
		if m, ok := bus.Lookup(string(t.Rooms[0][:len(n.prefix)])); ok {
			if m.ID == bus.Self().ID {
				return nil, false
			}
			return []broker.NodeID{m.ID}, true
		}
	}
	return nil, true
}

// tell sends a message to the nodes concerned.
func (n *clustered) tell(k kind, flags byte, t Target, body []byte) error {
	nodes, others := n.route(t)
	if !others {
		return nil
	}
	m := message{kind: k, flags: flags, namespace: n.name, target: t, body: body}
	data := m.append(make([]byte, 0, 64+len(body)))
	var err error
	if len(nodes) == 1 {
		err = n.cluster.bus.Send(nodes[0], channel, data)
		if errors.Is(err, broker.ErrUnknownNode) {
			return nil // it has just gone, and its socket with it
		}
	} else {
		err = n.cluster.bus.Broadcast(channel, data)
	}
	if err != nil {
		return fmt.Errorf("adapter: tell other nodes: %w", err)
	}
	return nil
}

// ask sends a request to the nodes concerned; nil if there are none.
func (n *clustered) ask(k kind, flags byte, t Target, body []byte) (*broker.Gather, error) {
	nodes, others := n.route(t)
	if !others {
		return nil, nil
	}
	m := message{kind: k, flags: flags, namespace: n.name, target: t, body: body}
	g, err := n.cluster.bus.Request(channel, m.append(nil), nodes...)
	if errors.Is(err, broker.ErrUnknownNode) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("adapter: ask other nodes: %w", err)
	}
	return g, nil
}

// gather hands every node's answer to use, and returns who is missing.
func gather(ctx context.Context, g *broker.Gather, use func(from broker.Member, body []byte) error) error {
	var missing []Missing
	for _, a := range g.Wait(ctx) {
		err := a.Err
		if err == nil {
			err = use(a.From, a.Body)
		}
		if err != nil {
			missing = append(missing, Missing{Node: a.From.Name, Err: err})
		}
	}
	if missing != nil {
		return &PartialError{Missing: missing}
	}
	return nil
}

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

// Fetch implements Adapter.
func (n *clustered) Fetch(ctx context.Context, t Target) ([]Info, error) {
	infos, err := n.Local.Fetch(ctx, t)
	if err != nil {
		return nil, err
	}
	self := n.cluster.bus.Self().Name
	for i := range infos {
		infos[i].Node = self
	}
	g, err := n.ask(kindFetch, 0, t, nil)
	if g == nil {
		return infos, err
	}
	err = gather(ctx, g, func(from broker.Member, body []byte) error {
		theirs, err := decodeInfos(body, from.Name)
		infos = append(infos, theirs...)
		return err
	})
	return infos, err
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
