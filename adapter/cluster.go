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

	// Publish and Deliver follow the packets that have a Trace, and are called
	// for no others, each before the work: what they return is called after it,
	// and may be nil. Passage.Trace is what the packet has.
	//
	// Publish is of a packet that goes to the bus. Other nodes get onward as its
	// Trace.
	Publish func(Passage) (onward string, done func(err error))

	// Deliver is of a packet that goes to sockets of this node, which took it.
	Deliver func(Passage) (done func(sockets int))
}

// A Passage is one step of a packet's way.
type Passage struct {
	Namespace string
	Target    Target
	From      string // name of the node that sent it; empty for this one
	Trace     string
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
	keeping

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
	c.keeping.init(bus)
	bus.Handle(channel, c.receive)
	bus.Respond(channel, c.respond)
	bus.Watch(func(e broker.Event) {
		if e.Kind == broker.NodeDown {
			c.asks.down(e.Node.ID)
			c.pages.down(e.Node.ID)
		}
		c.eachLog(func(g *Log) { g.happened(e, c.bus.DownAfter()) })
		c.keeping.happened(e)
	})
	c.startKeeping()
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

func (c *Cluster) eachLog(f func(*Log)) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, n := range c.namespaces {
		if g := n.log.Load(); g != nil {
			f(g)
		}
	}
}

func (c *Cluster) lookup(name string) *clustered {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.namespaces[name]
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
	n := c.lookup(m.namespace)
	if n == nil {
		return
	}
	switch m.kind {
	case kindBroadcast:
		n.hear(msg, &m)
	case kindJoin, kindLeave, kindDisconnect:
		err = n.altered(msg, &m)
	case kindTell:
		if h := n.Local.nodeHandler(); h != nil {
			h(msg.From.Name, m.body, nil)
		}
	case kindPeer:
		err = n.peered(msg.From, m.body)
	default:
		err = errMalformed
	}
	if err != nil {
		c.malformed(msg.From, err)
	}
}

// respond answers another node's request.
func (c *Cluster) respond(msg broker.Message) ([]byte, error) {
	m, err := decodeMessage(msg.Body)
	var answer []byte
	if err == nil {
		answer, err = c.answerTo(msg, &m)
	}
	if errors.Is(err, errMalformed) {
		c.malformed(msg.From, err)
	}
	return answer, err
}

func (c *Cluster) answerTo(msg broker.Message, m *message) ([]byte, error) {
	from := msg.From
	n := c.lookup(m.namespace)
	if m.kind == kindNextPage {
		return c.page(from, nil, m)
	} else if n == nil {
		return []byte{0}, nil // none of anything, and no more pages
	}
	var count int
	var err error
	switch m.kind {
	case kindDeliver:
		count, err = n.hear(msg, m)
	case kindAsk:
		count, err = c.asked(msg, n, m)
	case kindAskNodes:
		count, err = c.askedNode(from, n.Local, m)
	case kindCount:
		count, err = n.Local.Count(context.Background(), m.target) // it waits for nothing
	case kindFetch, kindRooms:
		return c.page(from, n.Local, m)
	default:
		err = errMalformed
	}
	return appendNumber(nil, uint64(count)), err
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

	peersMu sync.RWMutex // guards peers
	peers   map[string]PeerHandler

	places movedSockets
}

var _ Watcher = (*clustered)(nil)

// packetMessage returns the message that carries p.
func packetMessage(k kind, t Target, p *Packet) message {
	m := message{kind: k, target: t, trace: p.Trace, body: p.Data}
	if p.Volatile {
		m.flags |= flagVolatile
	}
	if p.NoCompress {
		m.flags |= flagNoCompress
	}
	return m
}

// packet returns the Packet that a message carries.
func (m *message) packet(data []byte) *Packet {
	return &Packet{Data: data, Volatile: m.flags&flagVolatile != 0, NoCompress: m.flags&flagNoCompress != 0, Trace: m.trace}
}

// Broadcast implements Adapter.
func (n *clustered) Broadcast(t Target, p *Packet) error {
	g := n.sequence()
	defer g.proceed()
	var failed error
	_, err := n.hand(g, "", t, p, func() (o Origin) {
		o, failed = n.tell(packetMessage(kindBroadcast, t, p))
		return o
	})
	if err != nil {
		return err
	}
	return failed
}

// Deliver implements Adapter.
func (n *clustered) Deliver(t Target, p *Packet) *Receipt {
	g := n.sequence()
	defer g.proceed()
	r := new(Receipt)
	var failed error
	local, err := n.hand(g, "", t, p, func() (o Origin) {
		var answers *broker.Gather
		answers, o, failed = n.ask(packetMessage(kindDeliver, t, p))
		if answers != nil {
			r.wait = func(ctx context.Context) (int, error) { return sum(ctx, answers) }
		}
		return o
	})
	r.local = local
	if r.err = err; err == nil {
		r.err = failed
	}
	return r
}

// Count implements Adapter.
func (n *clustered) Count(ctx context.Context, t Target) (int, error) {
	local, err := n.Local.Count(ctx, t)
	if err != nil {
		return 0, err
	}
	g, _, err := n.ask(message{kind: kindCount, target: t})
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
