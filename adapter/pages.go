package adapter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/carillonhq/carillon/broker"
)

const (
	// pageSize is what a page has at least, unless it is the last. One page of
	// each node is under way at a time, between all else that nodes say.
	pageSize = 256 << 10

	// maxOpen bounds what one other node may be reading from this one.
	maxOpen = 64
)

var errPages = errors.New("adapter: too many requests at a time, the rest of this answer was given up")

// A pager is an answer of this node that is taken page by page. It writes the
// next one behind b, and reports whether that was not the last.
type pager func(b []byte) (page []byte, more bool)

// pagesOf returns a pager of what add appends for each item.
func pagesOf[T any](items []T, add func(b []byte, item T) []byte) pager {
	return func(b []byte) ([]byte, bool) {
		start := len(b)
		for len(items) > 0 && len(b)-start < pageSize {
			b = add(b, items[0])
			items = items[1:]
		}
		return b, len(items) > 0
	}
}

// pages are the pagers that other nodes have not read to the end.
type pages struct {
	mu   sync.Mutex                // guards open
	open map[broker.NodeID][]*book // the one read last stands last
}

type book struct {
	number uint64 // of the reader
	next   pager
}

// keep takes in a pager, and gives up the one not read for longest if there
// are too many.
func (p *pages) keep(reader broker.NodeID, b *book) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		p.open = make(map[broker.NodeID][]*book)
	}
	books := p.open[reader]
	if len(books) == maxOpen {
		books = slices.Delete(books, 0, 1)
	}
	p.open[reader] = append(books, b)
}

// take returns a pager, which is no longer kept, or nil.
func (p *pages) take(reader broker.NodeID, number uint64) *book {
	p.mu.Lock()
	defer p.mu.Unlock()
	books := p.open[reader]
	i := slices.IndexFunc(books, func(b *book) bool { return b.number == number })
	if i < 0 {
		return nil
	}
	b := books[i]
	if len(books) == 1 {
		delete(p.open, reader)
	} else {
		p.open[reader] = slices.Delete(books, i, i+1)
	}
	return b
}

// down forgets what a node was reading.
func (p *pages) down(reader broker.NodeID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, reader)
}

// turn answers with the next page of b, and keeps it if there are more.
func (c *Cluster) turn(reader broker.NodeID, b *book) []byte {
	page, more := b.next([]byte{0})
	if more {
		page[0] = 1
		c.pages.keep(reader, b)
	}
	return page
}

// page answers a request for pages, the first or a later one.
func (c *Cluster) page(from broker.Member, local *Local, m *message) ([]byte, error) {
	number, rest, err := decodeNumber(m.body)
	if err != nil || len(rest) > 0 {
		return nil, errMalformed
	}
	b := &book{number: number}
	switch m.kind {
	case kindFetch:
		b.next = local.infoPages(m.target)
	case kindRooms:
		b.next = local.roomPages()
	default:
		if b = c.pages.take(from.ID, number); b == nil {
			return nil, errPages
		}
	}
	return c.turn(from.ID, b), nil
}

// pull asks the nodes concerned for all their pages, each node apart, and
// hands them to use one at a time. It returns who is missing, wholly or from
// some page on.
func (n *clustered) pull(ctx context.Context, k kind, t Target, use func(from broker.Member, page []byte) error) error {
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex // guards what follows, and serialises use
		missing []Missing
	)
	miss := func(m broker.Member, err error) {
		mu.Lock()
		defer mu.Unlock()
		missing = append(missing, Missing{Node: m.Name, Err: err})
	}
	for _, m := range n.members(t) {
		// The first request follows what the caller did before, the others the first.
		number := n.cluster.asks.number()
		g, err := n.request(m, number, k, t)
		wg.Go(func() { // ends with ctx
			for more := true; more; {
				var page []byte
				if err == nil {
					page, more, err = nextPage(ctx, g)
				}
				if err == nil {
					mu.Lock()
					err = use(m, page)
					mu.Unlock()
				}
				if err == nil && more {
					g, err = n.request(m, number, kindNextPage, Target{})
				}
				if err != nil {
					miss(m, err)
					n.cluster.forget(m.ID, number)
					return
				}
			}
		})
	}
	wg.Wait()
	if missing == nil {
		return nil
	}
	slices.SortStableFunc(missing, func(a, b Missing) int { return strings.Compare(a.Node, b.Node) })
	return &PartialError{Missing: missing}
}

// request asks one node for a page.
func (n *clustered) request(to broker.Member, number uint64, k kind, t Target) (*broker.Gather, error) {
	m := message{kind: k, target: t, body: appendNumber(nil, number)}
	if k != kindNextPage {
		m.namespace = n.name
	}
	g, err := n.cluster.bus.Request(channel, m.append(nil), to.ID)
	if err != nil {
		return nil, fmt.Errorf("adapter: ask other nodes: %w", err)
	}
	return g, nil
}

func nextPage(ctx context.Context, g *broker.Gather) (page []byte, more bool, err error) {
	a := g.Wait(ctx)[0]
	switch {
	case a.Err != nil:
		return nil, false, a.Err
	case len(a.Body) == 0 || a.Body[0] > 1:
		return nil, false, errMalformed
	}
	return a.Body[1:], a.Body[0] == 1, nil
}

// infoPages describes the sockets that t selects now; of each, what it is when
// its page is made.
func (l *Local) infoPages(t Target) pager {
	l.mu.RLock()
	selected := l.selected(t, nil)
	l.mu.RUnlock()
	return pagesOf(selected, func(b []byte, m *member) []byte {
		info, here := l.info(m)
		if !here {
			return b
		}
		return appendInfo(b, &info)
	})
}

// info describes a member, if it is still here and not away.
func (l *Local) info(m *member) (i Info, here bool) {
	l.mu.RLock()
	here = l.sockets[m.id] == m && !m.away
	if here {
		i = Info{ID: m.id, Rooms: m.rooms()}
	}
	l.mu.RUnlock()
	if here {
		i.Data = m.socket.Info()
	}
	return i, here
}

// Fetch implements Adapter.
func (n *clustered) Fetch(ctx context.Context, t Target) ([]Info, error) {
	infos, err := n.Local.Fetch(ctx, t)
	if err != nil {
		return nil, err
	}
	self := n.cluster.bus.Self().Name
	for i := range infos {
		infos[i].Node = self
	}
	ctx, release := n.bound(ctx)
	defer release()
	err = n.pull(ctx, kindFetch, t, func(from broker.Member, page []byte) (err error) {
		infos, err = decodeInfos(infos, page, from.Name)
		return err
	})
	return infos, err
}
