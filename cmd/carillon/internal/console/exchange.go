package console

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// channel is that of the reports on the Bus.
const channel = "console"

const (
	every     = time.Second
	expiry    = 3 * every // of a node's watchers that are not announced anew
	maxReport = 4 << 10   // bytes
)

// A report is what nodes tell each other. Each says whether its sender wants
// reports, so that the last one does as well.
type report struct {
	Watching bool  `json:"watching,omitempty"`
	Stats    Stats `json:"stats"`
}

// hear takes another node's report.
func (c *Console) hear(m broker.Message) {
	var r report
	if len(m.Body) > maxReport || json.Unmarshal(m.Body, &r) != nil {
		c.opts.Logger.Debug("console: report not understood", "peer", m.From.Name, "bytes", len(m.Body))
		return
	}
	now := time.Now()
	c.mu.Lock()
	c.up(m.From)
	p := c.peers[m.From.ID]
	p.stats, p.at = &r.Stats, now
	fresh := r.Watching && p.watching.IsZero()
	if p.watching = (time.Time{}); r.Watching {
		p.watching = now.Add(expiry)
	}
	if fresh {
		c.fresh = append(c.fresh, m.From.ID)
	}
	c.mu.Unlock()
	if fresh {
		c.stir()
	}
}

// watchers returns the nodes that want reports, and those of them that asked
// since the last call; those whose time is over are forgotten. here is whether
// somebody watches on this node, and news whether that has changed.
func (c *Console) watchers(now time.Time) (nodes, fresh []broker.NodeID, here, news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, p := range c.peers {
		if p.watching.IsZero() {
			continue
		}
		if now.After(p.watching) {
			p.watching = time.Time{}
			continue
		}
		nodes = append(nodes, id)
	}
	fresh, c.fresh = c.fresh, nil
	here = c.here > 0
	news = here != c.said
	if c.said = here; news && here {
		c.since = now
	}
	return nodes, fresh, here, news
}

// tell sends a report to other nodes, or to all of them with nil. While the
// broker is away it says nothing, as that would only wait and be old.
func (c *Console) tell(to []broker.NodeID, r report) {
	if c.bus.State() != broker.Up {
		return
	}
	body, err := json.Marshal(r)
	if err != nil {
		c.opts.Logger.Error("console: report not told", "error", err)
		return
	}
	if to == nil {
		c.check(c.bus.Broadcast(channel, body))
		return
	}
	for _, id := range to {
		c.check(c.bus.Send(id, channel, body))
	}
}

func (c *Console) check(err error) {
	if err != nil && !errors.Is(err, broker.ErrUnknownNode) && !errors.Is(err, broker.ErrClosed) {
		c.opts.Logger.Warn("console: report not told", "error", err)
	}
}
