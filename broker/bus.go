package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Bus carries messages between the nodes of a cluster. See the package
// documentation for what it guarantees. All methods may be called
// concurrently, and from handlers, except Close and Gather.Wait.
type Bus struct {
	self Member
	opts Options
	log  *slog.Logger
	tag  uint32
	born time.Time
	open func(context.Context) (Driver, error)

	topicAll, topicNode string // topicNode begins the topic of each node

	ctx    context.Context // ends in Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	flight chan struct{} // a place for each publish under way
	kick   chan struct{} // tells the clock to look again

	batches sync.Pool // of *[]item, empty: what a lane has that is not idle

	closed chan struct{} // Close is done

	namesake   atomic.Bool // two nodes with one name were reported
	stranger   atomic.Bool // so was one with which no version is shared
	draining   atomic.Bool
	assembling atomic.Int64 // bytes of unfinished messages

	reg        sync.RWMutex // guards these three:
	handlers   map[string]func(Message)
	responders map[string]func(Message) ([]byte, error)
	watchers   []*func(Event)

	mu      sync.Mutex // guards what follows; never held across anything that waits
	driver  Driver     // set when joined
	closing bool       // nothing new is accepted
	ended   bool       // nothing new is started
	lane    lane       // of events about this node
	outbox
	members
	links
	gathers
}

// A Message is what another node said on a channel.
type Message struct {
	From Member

	// Number is the message's among all that this run of From says, to whomever:
	// it grows from message to message. See Bus.Say.
	Number uint64

	// Body belongs to the handler. It may lie in memory together with other
	// messages: who keeps small parts for long should copy them.
	Body []byte
}

// Open makes a Bus over the driver that open connects, and makes the first
// attempt to join. An unreachable broker is not an error: the node is
// local-only then, and joins when the broker appears. Open fails only for
// options that cannot work. ctx bounds the first attempt alone. The Bus owns
// the drivers that open returns; open is called until it has succeeded once.
// Register handlers, responders and watchers right after Open: the cluster may
// be joined when it returns, and what is said on a channel that nobody handles
// yet is dropped.
func Open(ctx context.Context, open func(context.Context) (Driver, error), opts Options) (*Bus, error) {
	id := newNodeID()
	if err := opts.fill(id); err != nil {
		return nil, err
	}
	b := &Bus{
		self:       Member{ID: id, Name: opts.Node, Protocol: version, Caps: ownCaps | opts.Capabilities},
		opts:       opts,
		log:        opts.Logger.With("node", opts.Node),
		tag:        clusterTag(opts.Cluster),
		born:       time.Now(),
		open:       open,
		topicAll:   opts.Cluster + ".all",
		topicNode:  opts.Cluster + ".node.",
		flight:     make(chan struct{}, maxFlight),
		kick:       make(chan struct{}, 1),
		closed:     make(chan struct{}),
		handlers:   make(map[string]func(Message)),
		responders: make(map[string]func(Message) ([]byte, error)),
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.limit = maxEnvelope
	b.all = &topic{name: b.topicAll, packer: packer{off: opts.Compression.Off}}
	b.refs = make(map[uint32]uint64)
	b.peers = make(map[NodeID]*peer)
	b.shorts = make(map[string]*peer)
	b.tombs = make(map[NodeID]*tomb)
	b.pending = make(map[uint64]*Gather)
	b.roles = make(map[string]bool)
	b.tries = make(map[string]int)

	err := b.join(ctx)
	if err != nil {
		b.unjoined(1, err)
		b.log.Warn("the broker is unreachable, this node is local-only until it appears", "err", err)
	}
	b.wg.Go(func() { b.keepTime(err != nil) }) // ends with b.ctx
	return b, nil
}

// Self returns this node.
func (b *Bus) Self() Member {
	m := b.self
	m.Draining = b.draining.Load()
	return m
}

// Drain tells the other nodes that this one is about to leave, so that they
// give it nothing new to do: they hear NodeDraining, and see it in
// Member.Draining. All else goes on as before, up to Close. It does not wait,
// and there is no way back.
func (b *Bus) Drain() {
	if b.draining.Swap(true) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.push(&b.lane, item{ev: &Event{Kind: NodeDraining, Node: b.Self()}})
	b.all.beat = true
	b.pump(b.all)
}

// DownAfter is for how long a node is silent, at least, before it is down, unless
// it has said that it leaves.
func (b *Bus) DownAfter() time.Duration { return downBeats * b.opts.Heartbeat }

// Members returns the other nodes that are up, sorted by name, then by ID.
func (b *Bus) Members() []Member {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ms []Member
	for _, p := range b.peers {
		if p.up {
			ms = append(ms, p.member())
		}
	}
	slices.SortFunc(ms, compareMembers)
	return ms
}

// Lookup finds the node that is up, or this one, by its NodeID.Short.
func (b *Bus) Lookup(short string) (Member, bool) {
	if short == b.self.ID.Short() {
		return b.Self(), true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.shorts[short]; p != nil {
		return p.member(), true
	}
	return Member{}, false
}

// State returns what the Bus is to its broker.
func (b *Bus) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// Handle has h called with what other nodes say on channel, instead of the
// handler before. A nil h drops it, as before the first call. Messages of one
// node, on all channels, come one at a time and in the order in which it sent
// them; those of different nodes may come concurrently. h holds up what the
// same node says next, so it must not wait for an answer of another node.
func (b *Bus) Handle(channel string, h func(Message)) {
	b.reg.Lock()
	defer b.reg.Unlock()
	b.handlers[channel] = h
}

// Broadcast sends a copy of body to every other node. It never waits: what the
// broker has not taken yet is kept, up to Options.Buffer. With no other node
// known there is nobody to send to, and nothing is kept.
// It fails with ErrOverflow, ErrTooLarge or ErrClosed.
func (b *Bus) Broadcast(channel string, body []byte) error {
	_, err := b.Say(channel, body)
	return err
}

// Send is Broadcast to one node. It fails with ErrUnknownNode if that node is
// not up, or is this one.
func (b *Bus) Send(to NodeID, channel string, body []byte) error {
	_, err := b.SayTo(to, channel, body)
	return err
}

// Say is Broadcast that returns the Message.Number under which the others get
// it; 0 if there is nobody to get it.
func (b *Bus) Say(channel string, body []byte) (number uint64, err error) {
	if err := checkSize(channel, body); err != nil {
		return 0, err
	}
	raw := b.opts.Compression.skips(channel, body)
	b.mu.Lock()
	before := b.seq
	err = b.toAll(message{channel: channel, body: body, raw: raw})
	number = b.numberSince(before)
	b.mu.Unlock()
	return number, b.refused(err, channel, body)
}

// SayTo is Send that returns the Message.Number under which the node gets it.
func (b *Bus) SayTo(to NodeID, channel string, body []byte) (number uint64, err error) {
	if err := checkSize(channel, body); err != nil {
		return 0, err
	}
	raw := b.opts.Compression.skips(channel, body)
	b.mu.Lock()
	before := b.seq
	err = ErrUnknownNode
	if b.closing {
		err = ErrClosed
	} else if p := b.peers[to]; p != nil && p.up {
		err = b.toNode(p, message{channel: channel, body: body, raw: raw})
	}
	number = b.numberSince(before)
	b.mu.Unlock()
	return number, b.refused(err, channel, body)
}

// numberSince returns the number given last, that of the last part of a message,
// or 0 if none was given since. b.mu is held.
func (b *Bus) numberSince(before uint64) uint64 {
	if b.seq == before {
		return 0
	}
	return b.seq
}

func checkSize(channel string, body []byte) error {
	if len(channel) > MaxChannel {
		return fmt.Errorf("%w: the channel's name has %d bytes, at most %d are possible", ErrTooLarge, len(channel), MaxChannel)
	}
	if len(body) > MaxBody {
		return fmt.Errorf("%w: %d bytes, at most %d are possible", ErrTooLarge, len(body), MaxBody)
	}
	return nil
}

// refused tells the hook of an overflow. b.mu is not held.
func (b *Bus) refused(err error, channel string, body []byte) error {
	if errors.Is(err, ErrOverflow) && b.opts.Hooks.Overflow != nil {
		b.opts.Hooks.Overflow(channel, len(body))
	}
	return err
}

// flushTime bounds what Close gives to messages that wait for the broker.
const flushTime = time.Second

// Close gives what waits up to a second to reach the broker, tells the other
// nodes that this one leaves, and closes the driver. When it returns, no
// handler runs and none will. It must not be called from a handler or a
// watcher, which it would wait for.
func (b *Bus) Close() error {
	b.mu.Lock()
	if b.closing {
		b.mu.Unlock()
		<-b.closed
		return nil
	}
	b.closing = true
	reachable := b.state == Up
	b.mu.Unlock()
	defer close(b.closed)

	if reachable {
		timeout := time.NewTimer(flushTime)
		defer timeout.Stop()
		if b.awaitIdle(timeout.C) {
			b.mu.Lock()
			b.all.bye = true
			b.pump(b.all)
			b.mu.Unlock()
			b.awaitIdle(timeout.C)
		}
	}
	b.mu.Lock()
	b.ended = true
	b.state = Closed
	b.mu.Unlock()
	b.cancel()
	b.mu.Lock()
	d := b.driver
	b.mu.Unlock()
	var err error
	if d != nil {
		err = d.Close()
	}
	b.wg.Wait()
	b.closeGathers()
	return err
}
