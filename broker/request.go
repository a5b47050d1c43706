package broker

import (
	"context"
	"slices"
	"sync"
	"time"
)

// gatherExpiry bounds how long a Gather is kept that nobody waits for.
const gatherExpiry = 30 * time.Second

type gathers struct {
	pending map[uint64]*Gather
	lastID  uint64
}

// A Gather collects the answers to one request.
type Gather struct {
	b       *Bus
	id      uint64
	number  uint64
	numbers map[NodeID]uint64 // of one to nodes one by one
	expires time.Time

	mu      sync.Mutex // guards what follows
	answers []Answer
	left    map[*peer]int // whose answer is missing, and its place
	done    chan struct{} // closed when left is empty
	waiting bool
}

// An Answer is what one node said to a request.
type Answer struct {
	From Member
	Body []byte // as Message.Body

	// Err is nil, ErrTimeout, ErrNodeDown, ErrClosed or a *RefusedError.
	Err error
}

// Respond has h answer requests on channel, instead of the responder before. A
// nil h drops it; without responder requests are refused. h runs in the
// asker's order together with its messages, and must not block. Its error
// reaches the asker as a *RefusedError.
func (b *Bus) Respond(channel string, h func(Message) ([]byte, error)) {
	b.reg.Lock()
	defer b.reg.Unlock()
	b.responders[channel] = h
}

// Request asks the nodes in to, or all members that are up if there are none,
// in order with what this goroutine broadcasts and sends. It does not wait:
// the Gather returned does. A named node that is not up, this one included,
// answers ErrNodeDown at once. It fails as Broadcast does, and then asks nobody.
func (b *Bus) Request(channel string, body []byte, to ...NodeID) (*Gather, error) {
	if err := checkSize(channel, body); err != nil {
		return nil, err
	}
	raw := b.opts.Compression.skips(channel, body)
	b.mu.Lock()
	g, err := b.request(message{flags: msgRequest, channel: channel, body: body, raw: raw}, to)
	b.mu.Unlock()
	return g, b.refused(err, channel, body)
}

func (b *Bus) request(m message, to []NodeID) (*Gather, error) {
	if b.closing {
		return nil, ErrClosed
	}
	g := &Gather{b: b, expires: time.Now().Add(gatherExpiry), left: make(map[*peer]int), done: make(chan struct{})}
	var ask []*peer
	if len(to) == 0 {
		for _, p := range b.peers {
			if p.up {
				ask = append(ask, p)
			}
		}
	}
	for _, id := range to {
		if p := b.peers[id]; p == nil || !p.up {
			if !slices.ContainsFunc(g.answers, func(a Answer) bool { return a.From.ID == id }) {
				g.answers = append(g.answers, Answer{From: Member{ID: id}, Err: ErrNodeDown})
			}
		} else if !slices.Contains(ask, p) {
			ask = append(ask, p)
		}
	}
	slices.SortFunc(ask, func(p, o *peer) int { return compareMembers(p.Member, o.Member) })
	if len(ask) == 0 {
		close(g.done)
		return g, nil
	}

	b.lastID++
	g.id = b.lastID
	m.id = g.id
	if len(to) == 0 {
		if err := b.toAll(m); err != nil {
			return nil, err
		}
		g.number = b.seq
	} else {
		if err := b.admit(&m, len(ask)); err != nil {
			return nil, err
		}
		g.numbers = make(map[NodeID]uint64, len(ask))
		for _, p := range ask {
			b.numbered(p, m)
			g.numbers[p.ID] = b.seq
		}
	}
	for _, p := range ask {
		g.left[p] = len(g.answers)
		g.answers = append(g.answers, Answer{From: p.member()})
	}
	b.pending[g.id] = g
	return g, nil
}

// Number returns the Message.Number of a request to all; 0 if it went to nodes
// one by one, or to nobody.
func (g *Gather) Number() uint64 { return g.number }

// NumberTo returns the Message.Number of a request to nodes one by one for one
// of them; 0 if that was not up.
func (g *Gather) NumberTo(node NodeID) uint64 { return g.numbers[node] }

// Wait returns one answer for each node that was asked, sorted as Members,
// once all are there; when ctx ends before, or the Bus is closed, those that
// are missing are ErrTimeout or ErrClosed. Call it once, within 30 s of the
// request: then the answers are given up. It must not be called from a
// handler, a responder or a watcher: the answer may be next in the same line.
func (g *Gather) Wait(ctx context.Context) []Answer {
	g.mu.Lock()
	g.waiting = true
	g.mu.Unlock()
	missing := ErrTimeout
	select {
	case <-g.done:
	default:
		select {
		case <-g.done:
		case <-ctx.Done():
		case <-g.b.ctx.Done():
			missing = ErrClosed
		}
	}
	g.b.mu.Lock()
	delete(g.b.pending, g.id)
	g.b.mu.Unlock()
	g.end(missing)
	return g.answers
}

// end settles all answers that are missing with err, and sorts them.
func (g *Gather) end(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, i := range g.left {
		g.answers[i].Err = err
	}
	if len(g.left) > 0 {
		clear(g.left)
		close(g.done)
	}
	slices.SortStableFunc(g.answers, func(a, b Answer) int { return compareMembers(a.From, b.From) })
}

// settle fills in the answer of p, if it is missing.
func (g *Gather) settle(p *peer, body []byte, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i, ok := g.left[p]
	if !ok {
		return
	}
	g.answers[i].Body, g.answers[i].Err = body, err
	if delete(g.left, p); len(g.left) == 0 {
		close(g.done)
	}
}

// answered takes an answer of p.
func (b *Bus) answered(p *peer, m *message) {
	b.mu.Lock()
	g := b.pending[m.id]
	b.mu.Unlock()
	if g == nil {
		return // too late
	}
	if m.flags&msgRefused != 0 {
		g.settle(p, nil, &RefusedError{string(m.body)})
	} else {
		g.settle(p, m.body, nil)
	}
}

// gathersDown completes what p will not answer any more.
func (b *Bus) gathersDown(p *peer) {
	b.mu.Lock()
	var gs []*Gather
	for _, g := range b.pending {
		gs = append(gs, g)
	}
	b.mu.Unlock()
	for _, g := range gs {
		g.settle(p, nil, ErrNodeDown)
	}
}

// respond has a request of p answered.
func (b *Bus) respond(p *peer, m *message) {
	b.reg.RLock()
	h := b.responders[m.channel]
	b.reg.RUnlock()
	a := message{flags: msgAnswer, id: m.id}
	refuse := func(text string) {
		a.flags |= msgRefused
		a.body = []byte(text)
	}
	if h == nil {
		refuse("nobody answers on this channel")
	} else {
		var err error
		if b.guard("responder", func() { a.body, err = h(Message{From: p.member(), Number: m.seq, Body: m.body}) }) {
			refuse("the responder panicked")
		} else if err != nil {
			refuse(err.Error())
		}
	}
	if len(a.body) > MaxBody {
		refuse("the answer is too large")
	}
	b.guard("compression", func() { a.raw = b.opts.Compression.skips(m.channel, a.body) })
	b.mu.Lock()
	var err error
	if p.up {
		err = b.toNode(p, a)
	}
	b.mu.Unlock()
	b.refused(err, m.channel, a.body)
}

// expireGathers ends those that nobody waits for. b.mu is held.
func (b *Bus) expireGathers(now time.Time) {
	for id, g := range b.pending {
		g.mu.Lock()
		over := !g.waiting && now.After(g.expires)
		g.mu.Unlock()
		if over {
			delete(b.pending, id)
			g.end(ErrTimeout)
		}
	}
}

// closeGathers ends all.
func (b *Bus) closeGathers() {
	b.mu.Lock()
	gs := b.pending
	b.pending = make(map[uint64]*Gather)
	b.mu.Unlock()
	for _, g := range gs {
		g.end(ErrClosed)
	}
}
