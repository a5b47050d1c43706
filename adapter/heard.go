package adapter

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/carillonhq/carillon/broker"
)

// A client tells by the offset of the last packet that it has how much that is.
// Should its node die, nobody else could tell from a Position. So the text that
// goes with a packet names the nodes, too, and up to which number each of them
// was heard then: what others hear of them they hear in the same order.
//
//	heard  "~", if nothing was heard; else "~" node number of each node
//	node   the first three characters of its short id
//	number in base 36

const (
	maxHeard = 100 // characters, which are some twelve nodes
	nodeRef  = 3   // characters
)

// heardText returns that of now; nil if it would be too long, or two nodes could
// be meant by one name. It needs seq, and is good until it is called again.
func (g *Log) heardText() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.local.prefix == "" { // there are no others
		return nil
	}
	g.text = g.vectors.appendText(g.text[:0])
	return g.text
}

func (v *vectors) appendText(b []byte) []byte {
	if v.texts == nil {
		for _, o := range v.heard {
			v.texts = append(v.texts, o)
		}
		slices.SortFunc(v.texts, func(a, b *voice) int { return bytes.Compare(a.node[:], b.node[:]) })
		v.ambiguous = false
		for i, o := range v.texts {
			for _, other := range v.texts[:i] {
				v.ambiguous = v.ambiguous || refOf(o.node) == refOf(other.node)
			}
		}
	}
	if v.ambiguous {
		return nil
	}
	if len(v.texts) == 0 {
		return append(b, '~')
	}
	for _, o := range v.texts {
		if len(o.text) == 0 {
			o.text = appendHeard(o.text, o.node, o.number)
		}
		if len(b)+len(o.text) > maxHeard {
			return nil
		}
		b = append(b, o.text...)
	}
	return b
}

func appendHeard(b []byte, node broker.NodeID, number uint64) []byte {
	b = append(b, '~')
	b = append(b, refOf(node)...)
	return strconv.AppendUint(b, number, 36)
}

// Text returns v as Heard does, of any nodes; "" where Heard would be of nothing
// known.
func (v Vector) Text() string {
	all := make(map[broker.NodeID]*voice, len(v))
	for node, number := range v {
		all[node] = &voice{node: node, number: number}
	}
	return string((&vectors{heard: all}).appendText(nil))
}

func refOf(node broker.NodeID) string { return node.Short()[:nodeRef] }

// Heard returns the text of what is heard now. It is called within Sequence.
func (g *Log) Heard() string { return string(g.heardText()) }

// ParseHeard is the inverse of Heard, on whatever node. Nodes that were not heard
// here are left out. It reports false for what is no such text, or is of nodes
// whose names are alike.
func (g *Log) ParseHeard(text string) (Vector, bool) {
	if text == "" || len(text) > maxHeard || text[0] != '~' {
		return nil, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	v := make(Vector)
	if text == "~" {
		return v, true
	}
	for part := range strings.SplitSeq(text[1:], "~") {
		if len(part) <= nodeRef {
			return nil, false
		}
		number, err := strconv.ParseUint(part[nodeRef:], 36, 64)
		if err != nil {
			return nil, false
		}
		found := 0
		for node := range g.heard {
			if refOf(node) == part[:nodeRef] {
				v[node] = number
				found++
			}
		}
		if found > 1 {
			return nil, false
		}
	}
	return v, true
}
