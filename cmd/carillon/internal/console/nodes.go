package console

import (
	"cmp"
	"slices"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// Bounds on what is shown, and for how long.
const (
	maxNodes  = 200 // in one view
	maxFallen = 50  // of them nodes that are gone
	remember  = 10 * time.Minute
	overdue   = 4 * time.Second // a report
)

// A Node is a row of the console.
type Node struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	State State  `json:"state"`
	For   int64  `json:"for,omitempty"` // seconds since it is gone
	Lag   *Lag   `json:"lag"`           // to the node that tells; null while nothing came

	// Stats are null of a node that is gone, silent, or has not told yet.
	Stats *Stats `json:"stats"`
}

// A View is what those who watch are told, as the event "nodes".
type View struct {
	Instance string `json:"instance"` // the node that tells
	Nodes    []Node `json:"nodes"`
	More     int    `json:"more,omitempty"` // nodes that are not in Nodes, as there are too many
	Presence Totals `json:"presence"`
}

// Totals are of the presence of the whole cluster, as the node that tells knows
// it. Another Seq says that who is here has changed.
type Totals struct {
	State   string `json:"state"`
	Users   int    `json:"users"`
	Devices int    `json:"devices"`
	Seq     uint64 `json:"seq"`
}

// A peer is another node that is up.
type peer struct {
	broker.Member
	since    time.Time // when it could have reported first
	stats    *Stats    // its last report, if it told any
	at       time.Time // of stats
	watching time.Time // until when it wants reports; zero if it does not
}

// fallen is a node that is gone.
type fallen struct {
	broker.Member
	at time.Time
}

// observe follows who is up, whether anyone watches or not.
func (c *Console) observe(e broker.Event) {
	switch e.Kind {
	case broker.Frozen, broker.Thawed:
		c.frozen.Store(e.Kind == broker.Frozen)
	case broker.NodeUp:
		c.mu.Lock()
		c.up(e.Node)
		c.mu.Unlock()
	case broker.NodeDraining:
		c.mu.Lock()
		if p := c.peers[e.Node.ID]; p != nil {
			p.Draining = true
		}
		c.mu.Unlock()
	case broker.NodeDown:
		c.mu.Lock()
		c.down(e.Node)
		c.mu.Unlock()
		c.meter.lags.Delete(e.Node.ID)
	}
}

// up needs mu.
func (c *Console) up(m broker.Member) {
	if c.peers[m.ID] != nil {
		return
	}
	c.peers[m.ID] = &peer{Member: m, since: time.Now()}
	c.fallen = slices.DeleteFunc(c.fallen, func(f fallen) bool { return f.Name == m.Name })
}

// down needs mu.
func (c *Console) down(m broker.Member) {
	p := c.peers[m.ID]
	if p == nil {
		return
	}
	delete(c.peers, m.ID)
	if m.Name == c.bus.Self().Name || slices.ContainsFunc(c.fallen, func(f fallen) bool { return f.Name == m.Name }) {
		return
	}
	for _, other := range c.peers {
		if other.Name == m.Name {
			return // it has taken its own place
		}
	}
	if len(c.fallen) == maxFallen {
		c.fallen = slices.Delete(c.fallen, 0, 1)
	}
	c.fallen = append(c.fallen, fallen{p.Member, time.Now()})
}

// view returns what there is to tell. own are this node's Stats.
func (c *Console) view(now time.Time, own *Stats) View {
	self := c.bus.Self()
	v := View{Instance: self.Name, Presence: c.totals()}
	deaf := own.State == Degraded || own.State == CutOff
	c.mu.Lock()
	c.fallen = slices.DeleteFunc(c.fallen, func(f fallen) bool { return now.Sub(f.at) > remember })
	v.Nodes = append(make([]Node, 0, 1+len(c.peers)+len(c.fallen)), Node{ID: self.ID.Short(), Name: self.Name, State: own.State, Stats: own})
	for _, p := range c.peers {
		state, stats := p.show(now, deaf, c.since)
		v.Nodes = append(v.Nodes, Node{ID: p.ID.Short(), Name: p.Name, State: state, Stats: stats})
	}
	for _, f := range c.fallen {
		state := Down
		if f.Draining {
			state = Left
		}
		v.Nodes = append(v.Nodes, Node{ID: f.ID.Short(), Name: f.Name, State: state, For: int64(now.Sub(f.at) / time.Second)})
	}
	c.mu.Unlock()
	slices.SortFunc(v.Nodes, func(a, b Node) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	if n := len(v.Nodes); n > maxNodes {
		v.Nodes, v.More = v.Nodes[:maxNodes], n-maxNodes
	}
	lags := c.lags()
	for i := range v.Nodes {
		v.Nodes[i].Lag = lags[v.Nodes[i].ID]
	}
	return v
}

// show is what can be said of another node by one that has been watched since
// a time, and does not hear the others if it is deaf. Old Stats are none. It
// needs mu of the Console.
func (p *peer) show(now time.Time, deaf bool, since time.Time) (State, *Stats) {
	stats, from := p.stats, p.at
	if from.Before(since) { // of earlier watchers
		stats, from = nil, since
	}
	if from.Before(p.since) {
		from = p.since
	}
	switch {
	case deaf:
		return Unknown, nil
	case now.Sub(from) > overdue:
		return Silent, nil
	case p.Draining:
		return Draining, stats
	case stats == nil:
		return Up, nil
	}
	return stats.State, stats
}

func (c *Console) totals() Totals {
	n := c.users.Counts()
	_, seq := c.users.Get()
	return Totals{State: c.users.State().String(), Users: n.Users, Devices: n.Devices, Seq: seq}
}

// lags ends a second of each node's, and returns them by the short ID.
func (c *Console) lags() map[string]*Lag {
	all := make(map[string]*Lag)
	c.meter.lags.Range(func(k, l any) bool {
		id := k.(broker.NodeID)
		if _, ok := c.bus.Lookup(id.Short()); !ok {
			c.meter.lags.Delete(id) // it came after the node's end
			return true
		}
		l.(*lags).turn()
		all[id.Short()] = l.(*lags).last()
		return true
	})
	return all
}
