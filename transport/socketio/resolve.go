package socketio

import (
	"slices"

	"github.com/carillonhq/carillon/adapter"
)

// resolve returns where a client stands who has the offset of an event, or none,
// and false if it never was there, or it is not known any more.
func (a *seat) resolve(offset string) (from adapter.Position, ok bool) {
	// A client keeps its offset when it gets a new identifier, until its first
	// event. So the one that it came with is none of this seat's.
	if offset == "" || offset == a.entry {
		return a.start, a.whole
	}
	p, _, ok := parseOffset(offset)
	if !ok {
		return 0, false
	}
	log := a.namespace.log
	if p.Node == log.Node() && p.At >= a.start {
		return p.At, p.At <= log.Head()
	}
	// It has nothing from here yet.
	if at, ok := log.Resolve(a.id, a.start, p); ok {
		return at, true
	}
	// A node that was taken to be dead may have sent more since, of which nothing
	// is known here.
	return a.start, slices.ContainsFunc(a.base, func(b adapter.Place) bool {
		return b.Node == p.Node && (b.At == p.At || b.At < p.At && !a.regained)
	})
}

// maxBase bounds the places of a seat that are told: of a client that hears
// nothing on so many nodes, one after the other.
const maxBase = 8

// elsewhere returns the Place on another node of an offset that is of this seat;
// else the zero Place.
func (a *seat) elsewhere(offset string) adapter.Place {
	if p, _, ok := parseOffset(offset); ok && offset != a.entry && p.Node != a.namespace.log.Node() {
		return p
	}
	return adapter.Place{}
}

// bases returns where a client that goes to another node stands, who had its last
// event at a Place, unless that is zero.
func (a *seat) bases(from adapter.Position, after adapter.Place) (base []adapter.Place) {
	if from == a.start {
		base = a.base
	}
	base = slices.Clip(base)
	if after != (adapter.Place{}) && !slices.Contains(base, after) {
		base = append(base, after)
	}
	if a.unseen() {
		return base
	}
	base = append(base, adapter.Place{Node: a.namespace.log.Node(), At: from})
	return base[max(0, len(base)-maxBase):]
}
