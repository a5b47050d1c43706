package broker

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Overheard is who is heard in a cluster by somebody who is not in it.
type Overheard struct {
	Nodes []NodeID // that spoke, sorted
	Later bool     // some speak a later version of the protocol
	Noise int      // messages that are no node's
}

// Overhear listens for a while to what the nodes of a cluster say to all,
// without a word, so that they do not notice: a node beats with every
// heartbeat, so two of them are long enough to hear all that are there. It
// ends earlier with ctx, and fails if d cannot subscribe. d stays open.
func Overhear(ctx context.Context, d Driver, cluster string, stay time.Duration) (Overheard, error) {
	var (
		mu    sync.Mutex // guards heard, seen and dec
		heard Overheard
		seen  = make(map[NodeID]bool)
		dec   = &decoder{tag: clusterTag(cluster)}
	)
	sub, err := d.Subscribe(ctx, cluster+".all", func(data []byte) {
		mu.Lock()
		defer mu.Unlock()
		e, err := dec.decode(data)
		switch {
		case err == nil && e.bye != nil:
			delete(seen, e.sender)
		case err == nil:
			seen[e.sender] = true
		case errors.Is(err, errVersion):
			heard.Later = true
		default:
			heard.Noise++
		}
	})
	if err != nil {
		return Overheard{}, err
	}
	t := time.NewTimer(stay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	err = sub.Close()
	mu.Lock()
	defer mu.Unlock()
	for id := range seen {
		heard.Nodes = append(heard.Nodes, id)
	}
	slices.SortFunc(heard.Nodes, func(a, b NodeID) int { return cmp.Compare(a.String(), b.String()) })
	return heard, err
}
