package adapter

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// A Keeper is an Adapter whose nodes keep records for each other, by which one
// takes over what another leaves behind that dies: those of a Cluster are.
//
// A record is bytes under a key, which is a secret that no two have, and belongs
// to the node that put it. It is at the node that Rendezvous names among the
// others, and follows where they change. A change is there within 50 ms, or as
// soon as the bus has brought it; so what happened in the last moment before a
// node died may be missing. All methods may be called concurrently, but for
// those of one key, and from within Log.Sequence.
type Keeper interface {
	Adapter

	// Keep has a record kept, in place of what was kept under the key. It fails
	// with ErrTooMuch, and nothing is kept, if it has more than 256 KiB or the
	// key more than 128 bytes. The source is the same for all records of the
	// caller.
	Keep(source *DepositSource, key string, term uint64, body []byte) error

	// KeepMore adds to a record: whoever claims it gets all that was added.
	KeepMore(key string, body []byte)

	// KeepNo has a record kept no more.
	KeepNo(key string)

	// Claim gives this node the record of a dead one: nobody else is given it
	// from then on. What it returns says who has the key, if it is not to be had,
	// because its node, Lives, is not dead as far as those know who keep the
	// record. It fails with ctx's error if they do not answer, and with
	// ErrNotKept where they do not know of the key.
	Claim(ctx context.Context, key string) (Claim, error)

	// Release undoes a Claim.
	Release(key string, c Claim)

	// Settle ends a record that was claimed, which this node has put nothing in
	// the place of. That it was claimed is remembered for as long as it would
	// have been kept.
	Settle(key string, c Claim)
}

// A Claim is what Keeper.Claim returns.
type Claim struct {
	Lives broker.NodeID // who has it; zero if this node has it now
	Sure  bool          // Lives has answered, and so is not just not known to be dead
	Had   broker.NodeID // who had it before
	Term  uint64        // later than that in which it was put
	Age   time.Duration // of the record, since it was put
	Doubt bool          // something that was added may be missing
	Body  []byte
	Added [][]byte

	at broker.NodeID
}

// KeepStats tell what a Cluster keeps.
type KeepStats struct {
	Own     int // records of this node
	Records int // of others, of which
	Orphans int // so many are of nodes that are dead
	Claims  int // are remembered
	Bytes   int // about how much memory the others' take
	Refused int // that there was no room for, or that could not be true, so far
}

var _ Keeper = (*clustered)(nil)

// claimPatience is for how long one node is asked for a record: it may be the one
// that is dead.
const claimPatience = 300 * time.Millisecond

const (
	maxRecords     = 200_000
	maxRecordBytes = 128 << 20
)

// keeping is what a Cluster keeps for others, and has them keep.
type keeping struct {
	bus       *broker.Bus
	directory *directory
	deposits  *deposits
}

func (k *keeping) init(bus *broker.Bus) {
	k.bus = bus
	k.directory = newDirectory(maxRecords, maxRecordBytes)
	k.deposits = newDeposits(func(to broker.NodeID, note []byte) error {
		return bus.Send(to, directoryChannel, note)
	}, bus.Members)
}

// start follows once the Cluster hears of nodes.
func (c *Cluster) startKeeping() {
	c.bus.Handle(directoryChannel, c.noted)
	c.bus.Respond(directoryChannel, c.claimed)
	c.keeping.deposits.changed()
}

// happened tells of an event of the bus.
func (k *keeping) happened(e broker.Event) {
	switch e.Kind {
	case broker.NodeUp:
		k.say(e.Node.ID, k.directory.up(e.Node.ID)...)
		k.deposits.changed()
	case broker.NodeDown:
		k.directory.down(e.Node.ID)
		k.deposits.changed()
	case broker.NodeDraining:
		k.deposits.changed()
	case broker.Gap:
		if k.directory.missed(e.Node.ID) {
			k.say(e.Node.ID, item{kind: itemAgain})
		}
	}
}

// say sends a note. Where that fails the node is gone, or hears of it again when
// it speaks.
func (k *keeping) say(to broker.NodeID, items ...item) {
	for part := range slices.Chunk(items, 1024) {
		note := []byte{directoryVersion}
		for i := range part {
			note = part[i].append(note)
		}
		k.bus.Send(to, directoryChannel, note)
	}
}

// noted does what another node has to say.
func (c *Cluster) noted(msg broker.Message) {
	k := &c.keeping
	err := decodeItems(msg.Body, func(i item) {
		switch i.kind {
		case itemLost:
			k.deposits.lost(i)
		case itemAgain:
			k.deposits.missed(msg.From.ID)
		default:
			if lost := k.directory.take(msg.From.ID, i); lost != nil {
				k.say(msg.From.ID, *lost)
			}
		}
	})
	if err != nil {
		c.malformed(msg.From, err)
	}
}

// claimed answers another node's request.
func (c *Cluster) claimed(msg broker.Message) ([]byte, error) {
	what, key, term, err := decodeRequest(msg.Body)
	if err != nil {
		c.malformed(msg.From, err)
		return nil, err
	}
	f := c.keeping.find(msg.From.ID, what, key, term)
	return f.append(nil), nil
}

func (k *keeping) find(by broker.NodeID, what byte, key string, term uint64) finding {
	if what == requestRelease {
		k.directory.release(by, key, term)
		return finding{}
	}
	if k.deposits.has(key) {
		return finding{what: answerLives, node: k.bus.Self().ID}
	}
	return k.directory.claim(by, key, func(id broker.NodeID) bool {
		m, ok := k.bus.Lookup(id.Short())
		return !ok || m.ID != id
	})
}

// ask has a node answer a request, or this one.
func (k *keeping) ask(ctx context.Context, node broker.NodeID, what byte, key string, term uint64) (finding, error) {
	if node == k.bus.Self().ID {
		return k.find(node, what, key, term), nil
	}
	g, err := k.bus.Request(directoryChannel, appendRequest(nil, what, key, term), node)
	if err != nil {
		return finding{}, fmt.Errorf("adapter: claim: %w", err)
	}
	a := g.Wait(ctx)[0]
	if a.Err != nil {
		return finding{}, fmt.Errorf("adapter: claim at %s: %w", a.From.Name, a.Err)
	}
	return decodeFinding(a.Body)
}

// claim asks the node that the key falls to and, should it not know of it
// because it is new, or those who look for it are, all others.
func (k *keeping) claim(ctx context.Context, key string) (Claim, error) {
	nodes := append(k.bus.Members(), k.bus.Self())
	if m, ok := Rendezvous(key, nodes); ok {
		nodes = slices.DeleteFunc(nodes, func(o broker.Member) bool { return o.ID == m.ID })
		nodes = slices.Insert(nodes, 0, m)
	}
	var failed error
	for _, m := range nodes {
		if err := context.Cause(ctx); err != nil {
			failed = err
			break
		}
		one, done := context.WithTimeout(ctx, claimPatience)
		f, err := k.ask(one, m.ID, requestClaim, key, 0)
		done()
		switch {
		case err != nil:
			failed = err
		case f.what == answerLives:
			sure := f.node == m.ID
			if !sure { // whatever it answers, it is not dead
				_, err := k.ask(ctx, f.node, requestClaim, key, 0)
				sure = err == nil
			}
			return Claim{Lives: f.node, Sure: sure}, nil
		case f.what == answerGranted:
			return Claim{Had: f.node, Term: f.term, Age: f.age, Doubt: f.doubt, Body: f.body, Added: f.added, at: m.ID}, nil
		}
	}
	if failed != nil {
		return Claim{}, failed
	}
	return Claim{}, ErrNotKept
}

// Keep implements Keeper.
func (n *clustered) Keep(source *DepositSource, key string, term uint64, body []byte) error {
	if len(body) > maxRecord || len(key) > maxKey || key == "" {
		return fmt.Errorf("%w: a record of %d bytes under a key of %d", ErrTooMuch, len(body), len(key))
	}
	n.cluster.keeping.deposits.put(source, key, term, body)
	return nil
}

// KeepMore implements Keeper.
func (n *clustered) KeepMore(key string, body []byte) {
	n.cluster.keeping.deposits.add(key, body)
}

// KeepNo implements Keeper.
func (n *clustered) KeepNo(key string) { n.cluster.keeping.deposits.drop(key) }

// Claim implements Keeper.
func (n *clustered) Claim(ctx context.Context, key string) (Claim, error) {
	if len(key) > maxKey || key == "" {
		return Claim{}, ErrNotKept
	}
	return n.cluster.keeping.claim(ctx, key)
}

// Release implements Keeper.
func (n *clustered) Release(key string, c Claim) {
	k := &n.cluster.keeping
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // its answer says nothing
	k.ask(ctx, c.at, requestRelease, key, c.Term)
}

// Settle implements Keeper.
func (n *clustered) Settle(key string, c Claim) {
	k := &n.cluster.keeping
	drop := item{kind: itemDrop, key: key, term: c.Term}
	if c.at == k.bus.Self().ID {
		k.directory.take(c.at, drop)
	} else {
		k.say(c.at, drop)
	}
}

// KeepStats returns what the Cluster keeps.
func (c *Cluster) KeepStats() KeepStats {
	k := &c.keeping
	s := KeepStats{Own: k.deposits.len()}
	d := k.directory
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Records, s.Orphans, s.Claims, s.Bytes, s.Refused = len(d.records), d.mortal, len(d.claims), d.bytes, d.refused
	return s
}
