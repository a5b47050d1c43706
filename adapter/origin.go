package adapter

import (
	"maps"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// An Origin names what a node said to others: the node, and the number that it
// has among all that the node said. Numbers grow, in the order in which every
// node hears it, so that two nodes can tell which of them has heard more. The
// zero Origin is of what was said to no other node.
type Origin struct {
	Node   broker.NodeID
	Number uint64
}

func originOf(msg broker.Message) Origin { return Origin{msg.From.ID, msg.Number} }

// origin returns that of what this node said under a number; 0 is to nobody.
func (c *Cluster) origin(number uint64) Origin {
	if number == 0 {
		return Origin{}
	}
	return Origin{c.bus.Self().ID, number}
}

func (o Origin) known() bool { return o.Number > 0 }

// A Vector is up to which number each node was heard, this one among them. A
// node that is not in it was not heard.
type Vector map[broker.NodeID]uint64

// Has reports whether what o names was heard.
func (v Vector) Has(o Origin) bool { return o.Number <= v[o.Node] }

// Max raises v to what was heard of o, too.
func (v Vector) Max(o Vector) {
	for node, number := range o {
		v[node] = max(v[node], number)
	}
}

// vectors is what a Log knows of what nodes said; guarded by its mu.
type vectors struct {
	heard    map[broker.NodeID]*voice
	spare    map[broker.NodeID]map[SocketID]uint64 // sockets that have had what a node says up to a number
	absences map[broker.NodeID]absence
	texts    []*voice // those of heard, in order; nil until they are needed

	ambiguous bool // two of texts have names alike
}

// A voice is what is known of one node.
type voice struct {
	node   broker.NodeID
	number uint64 // the last that was heard
	when   time.Time
	entry  uint64 // the serial of the last that the Log has
	heard  uint64 // of the last that is in said, see overhear
	text   []byte // what heardText has of it

	lost     uint64 // the last that is not kept any more
	lostWhen time.Time
}

func (v *vectors) voice(node broker.NodeID) *voice {
	o := v.heard[node]
	if o == nil {
		if v.heard == nil {
			v.heard = make(map[broker.NodeID]*voice)
		}
		o = &voice{node: node}
		v.heard[node] = o
		v.texts = nil
	}
	return o
}

func (v *vectors) hear(o Origin, now time.Time) {
	if !o.known() {
		return
	}
	voice := v.voice(o.Node)
	voice.number, voice.when, voice.text = max(voice.number, o.Number), now, voice.text[:0]
}

// note notes that what o names was heard, and is not kept; g may be nil.
func (g *Log) note(o Origin) {
	if g == nil || !o.known() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hear(o, time.Now())
}

// attribute notes what the newest entry is of. It needs mu.
func (g *Log) attribute(e *entry, o Origin) {
	v := g.voice(o.Node)
	e.origin, e.prior = o, v.entry
	v.entry = g.serial()
}

// lose notes that what o names, which came at a time, is not kept any more.
func (v *vectors) lose(o Origin, when time.Time) {
	if voice := v.heard[o.Node]; voice != nil && o.known() && o.Number > voice.lost {
		voice.lost, voice.lostWhen = o.Number, when
	}
}

// memory is for how long a Log knows of what a node said, at least: longer than
// it keeps it. A node that another has forgotten has said nothing for so long,
// by that other's count; by anybody's, for twice the time that packets are kept.
func (o *JournalOptions) memory() time.Duration { return o.settled() + maxLag }

// settled is how long ago what nodes said has come to all of them, or to none.
func (o *JournalOptions) settled() time.Duration { return 2 * o.Retention }

// quiet forgets the nodes that have said nothing since a time.
func (v *vectors) quiet(since time.Time) {
	maps.DeleteFunc(v.heard, func(node broker.NodeID, o *voice) bool {
		if !o.when.Before(since) {
			return false
		}
		delete(v.spare, node)
		v.texts = nil
		return true
	})
}

// Vector returns up to where each node was heard. Called within Sequence, it is
// that of Head.
func (g *Log) Vector() Vector {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := make(Vector, len(g.heard))
	for node, o := range g.heard {
		if o.number > 0 { // else it is known of sockets that came alone: see ahead
			v[node] = o.number
		}
	}
	return v
}

// unless returns t without the sockets that have had already what o names: on
// the node where they were before, which was ahead of this one.
func (g *Log) unless(t Target, o Origin) Target {
	if g == nil || !o.known() {
		return t
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	sockets := g.spare[o.Node]
	if len(sockets) == 0 {
		return t
	}
	except := t.Except[:len(t.Except):len(t.Except)]
	for id, upTo := range sockets {
		if o.Number <= upTo {
			except = append(except, Room(id))
		} else { // what follows it has not had
			delete(sockets, id)
		}
	}
	if len(sockets) == 0 {
		delete(g.spare, o.Node)
	}
	t.Except = except
	return t
}
