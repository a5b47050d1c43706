package presence

import (
	"context"
	"log/slog"
	"maps"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// Kept returns what a Tracker remembers of others, and of graces: nodes,
// questions and lingering devices.
func (t *Tracker) Kept() (nodes, pulls, lingering int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.nodes), len(t.pulls), len(t.lingering)
}

// Crowd has a user with n devices, or more, be a crowd.
func (t *Tracker) Crowd(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.crowded = n
}

// Sound counts everything anew and reports what does not fit.
func (t *Tracker) Sound() (wrong string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	users := 0
	devices := make(map[*origin]int)
	digests := make(map[*origin]uint64)
	for cell, m := range t.cells {
		users += len(m)
		for user, e := range m {
			if e == nil || cellOf(user) != cell {
				return "a user stands where none should"
			}
			for ; e != nil; e = e.next {
				if e.user() != user || e.node == nil {
					return "a device is not its user's"
				}
				devices[e.node]++
				digests[e.node] ^= e.node.key.hash(&e.device)
				if e.node == &t.self && (t.holds[e] == nil) != (t.lingering[e] != nil) {
					return "a device of this node is neither held nor lingers, or both"
				}
			}
		}
	}
	for user, c := range t.crowds {
		head := t.head(user)
		fresh := newCrowd(head)
		if !maps.Equal(c.at, fresh.at) || !maps.Equal(c.statuses[0], fresh.statuses[0]) || !maps.Equal(c.statuses[1], fresh.statuses[1]) {
			return "a crowd is not its user's devices"
		}
		if c.status() != statusOf(head) {
			return "a crowd's status is wrong"
		}
	}
	if users != t.users {
		return "the users are counted wrong"
	}
	if devices[&t.self] != t.self.devices || digests[&t.self] != t.self.digest() {
		return "what this node holds is counted wrong"
	}
	for _, n := range t.nodes {
		if devices[n] != n.devices || digests[n] != n.digest() {
			return "what " + n.Name + " holds is counted wrong"
		}
	}
	if len(devices) > len(t.nodes)+1 {
		return "something is kept of a node that is gone"
	}
	return ""
}

// What the tests of the wire need to see.
type (
	Message = message
	Told    = device
	Section = section
)

func NewMessage(kind byte, uptime uint64) Message { return message{kind: kind, uptime: uptime} }

func (m Message) With(change func(m *Message)) Message { change(&m); return m }

func (m *Message) Numbers(first, nonce, digest, devices, grace uint64) {
	m.first, m.nonce, m.digest, m.devices, m.grace = first, nonce, digest, devices, grace
	if m.kind == kindAnswer {
		m.digest, m.now, m.later = 0, digest, devices
	}
}
func (m *Message) SetFlags(f byte)           { m.flags = f }
func (m *Message) SetOps(ds ...Told)         { m.ops = ds }
func (m *Message) SetDigests(ds []uint64)    { m.digests = ds }
func (m *Message) SetSections(ss ...Section) { m.sections = ss }
func (m *Message) Encode() []byte            { return m.append(nil) }

func NewTold(flags uint8, user, id string, since uint32, m Meta) Told {
	d := newDevice(user, id)
	d.flags, d.since = flags, since
	d.setMeta(m)
	return d
}

func NewSection(flags uint8, ds ...Told) Section {
	return section{shard: uint8(shardOf(cellOf(ds[0].user()))), flags: flags, devices: ds}
}

func Decode(b []byte) (Message, error) { return decode(b) }

const (
	KindOps, KindBeat, KindPull, KindRange, KindAnswer, KindPage, KindBye = kindOps, kindBeat, kindPull, kindRange, kindAnswer, kindPage, kindBye

	FlagGone, FlagLost, FlagTook = flagGone, flagLost, flagTook
)

// Hash is what a device adds to the digest of a node whose ID is id.
func Hash(id [16]byte, d Told) uint64 { return newHashKey(id).hash(&d) }

// Shard is where a user stands.
func Shard(user string) int { return shardOf(cellOf(user)) }

// A View is a Tracker that is told of other nodes which do not exist.
type View struct {
	*Tracker
	bus     *broker.Bus
	origins []*origin
}

// NewView returns a View of so many nodes, of which number 0 is its own.
func NewView(nodes int) (*View, error) {
	quiet := slog.New(slog.DiscardHandler)
	bus, err := broker.Open(context.Background(), memory.Open, broker.Options{Logger: quiet})
	if err != nil {
		return nil, err
	}
	v := &View{Tracker: New(bus, Options{Logger: quiet}), bus: bus}
	v.origins = []*origin{&v.self}
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := 1; i < nodes; i++ {
		n := v.meet(broker.Member{ID: broker.NodeID{byte(i)}, Name: string(rune('a' + i))})
		n.unsynced = 0
		n.found()
		v.origins = append(v.origins, n)
	}
	return v, nil
}

// Close ends what NewView began.
func (v *View) Close() {
	v.Tracker.Close()
	v.bus.Close()
}

// Say is as if node n had said on the bus that a device came, or went.
func (v *View) Say(n int, user, device string, gone bool) {
	d := newDevice(user, device)
	if gone {
		d.flags = flagGone
	}
	o := v.origins[n]
	m := message{kind: kindOps, uptime: 1, first: o.seq + 1, ops: []Told{d}}
	v.receive(broker.Message{From: o.Member, Body: m.append(nil)})
}

// Fill has a node hold much without telling anybody.
func (t *Tracker) Fill(n int, name func(i int) (user, device string)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range n {
		d := newDevice(name(i))
		e := t.set(&d)
		t.holds[e] = &Hold{t, e}
	}
	t.ops, t.flushed = nil, t.self.seq
}
