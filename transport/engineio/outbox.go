package engineio

import (
	"time"

	"github.com/carillonhq/carillon/transport"
)

// boxTime is how long frames for pipes wait for others, so that a broadcast to
// many clients of one node is one message; and boxSize how many bytes do.
const (
	boxTime = 500 * time.Microsecond
	boxSize = 64 << 10
)

// An outbox gathers what the pipes to one node are sent.
type outbox struct {
	p    *peering
	node string

	// Guarded by peering.mu.
	items []boxItem
	index map[*transport.Frames]int // of those in items that further pipes may join
	round uint64                    // counts the times that items were taken
	size  int
	timer alarm

	sending chan struct{} // a token: whoever has it takes items and sends them
}

// A boxItem is a message: frames for some pipes, or something else for one.
type boxItem struct {
	frames *transport.Frames
	pipes  []*pipe
	other  []byte
}

// A place is where the last item of a pipe stands.
type place struct {
	round uint64
	next  int // 1 + its index
}

func (p *peering) box(node string) *outbox {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.boxes[node]
	if b == nil {
		b = &outbox{p: p, node: node, index: make(map[*transport.Frames]int), sending: make(chan struct{}, 1)}
		b.timer = alarm{wg: &p.wg, f: b.flush}
		b.sending <- struct{}{}
		p.boxes[node] = b
	}
	return b
}

// frames adds f for a pipe, behind all that is there for that.
func (b *outbox) frames(to *pipe, f *transport.Frames) {
	b.p.mu.Lock()
	defer b.p.mu.Unlock()
	if to.place.round != b.round {
		to.place = place{round: b.round}
	}
	i, ok := b.index[f]
	if !ok || i < to.place.next {
		i = len(b.items)
		b.items = append(b.items, boxItem{frames: f})
		b.index[f] = i
		b.size += len(f.WebSocket())
	}
	b.items[i].pipes = append(b.items[i].pipes, to)
	to.place.next = i + 1
	b.arm()
}

// say adds a message that is about a pipe.
func (b *outbox) say(about *pipe, m []byte) {
	b.p.mu.Lock()
	defer b.p.mu.Unlock()
	about.place = place{b.round, len(b.items) + 1}
	b.items = append(b.items, boxItem{other: m, pipes: []*pipe{about}})
	b.size += len(m)
	b.arm()
}

// arm sees to it that what is there leaves. It needs peering.mu.
func (b *outbox) arm() {
	switch {
	case b.p.closed: // there is nobody to tell
	case b.size >= boxSize:
		b.timer.set(0)
	case len(b.items) == 1:
		b.timer.set(boxTime)
	}
}

// flush sends what is there. Calls are one at a time, so that all keeps its
// order.
func (b *outbox) flush() {
	<-b.sending
	b.p.mu.Lock()
	items := b.items
	b.items, b.size = nil, 0
	b.round++
	clear(b.index)
	b.p.mu.Unlock()
	for _, it := range items {
		m := it.other
		if it.frames != nil {
			m = it.message()
		}
		if err := b.p.link.Send(b.node, m); err != nil {
			for _, c := range it.pipes {
				c.end(errPipe)
			}
		}
	}
	b.sending <- struct{}{}
}

func (it *boxItem) message() []byte {
	var flags uint64
	if it.frames.Compressible() {
		flags |= flagCompress
	}
	m := peerMessage(kindOut, flags, uint64(len(it.pipes)))
	for _, c := range it.pipes {
		m = appendNumber(m, c.id)
	}
	return appendFrames(m, it.frames)
}
