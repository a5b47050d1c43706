package broker

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
)

// A lane hands what one node said, and what happened to it, to this process's
// handlers: one thing at a time, in order. Its goroutine lives only while
// there is something to hand over.
type lane struct {
	mu      sync.Mutex
	items   []item
	bytes   int  // in items, and of the items being handed over
	running bool // a goroutine is at it
	room    chan struct{}

	assembly // of the goroutine
}

// laneBound is how many bytes a lane holds before the driver has to wait.
// Its own echo then grows old, and the node notices that it cannot keep up.
const laneBound = 16 << 20

const itemOverhead = 64

type item struct {
	from *peer // nil: this node itself
	msg  message
	ev   *Event // if it is set, the item is an event
}

func (it *item) size() int { return itemOverhead + len(it.msg.body) }

// push appends it and starts the goroutine if need be. b.mu is held.
func (b *Bus) push(l *lane, it item) {
	if b.ended {
		return
	}
	l.mu.Lock()
	if l.items == nil {
		if spare, ok := b.batches.Get().(*[]item); ok {
			l.items = *spare
		}
	}
	l.items = append(l.items, it)
	l.bytes += it.size()
	start := !l.running
	l.running = true
	l.mu.Unlock()
	if start {
		b.wg.Go(func() { b.run(l) }) // ends when the lane is empty, or with the Bus
	}
}

func (b *Bus) run(l *lane) {
	var batch []item
	for {
		l.mu.Lock()
		batch, l.items = l.items, batch[:0]
		if len(batch) == 0 {
			l.running = false
			last := l.items
			l.items = nil // an idle lane keeps no memory
			l.mu.Unlock()
			b.batches.Put(&last)
			return
		}
		l.mu.Unlock()
		for i := range batch {
			size := batch[i].size() // before a long message is put together in it
			if b.ctx.Err() == nil {
				b.hand(l, &batch[i])
			}
			l.took(size)
		}
		clear(batch)
	}
}

func (l *lane) took(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes -= n
	if l.room != nil && l.bytes < laneBound/2 {
		close(l.room)
		l.room = nil
	}
}

// full returns nil, or what to wait for before the lane is given more.
func (l *lane) full() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytes < laneBound {
		return nil
	}
	if l.room == nil {
		l.room = make(chan struct{})
	}
	return l.room
}

// hand gives one item to whom it is for.
func (b *Bus) hand(l *lane, it *item) {
	switch {
	case it.ev != nil && it.ev.Kind == NodeDraining: // which may stand between two parts of a message
		b.tell(*it.ev)
	case it.ev != nil:
		if ev := l.end(b); it.ev.Kind == NodeDown {
			if ev.Kind != 0 {
				ev.Node = it.ev.Node
				b.tell(ev)
			}
			b.gathersDown(it.from)
		}
		b.tell(*it.ev)
	case it.msg.flags&(msgMore|msgPart) != 0 && !b.assemble(l, it):
	case it.msg.flags&msgAnswer != 0:
		b.answered(it.from, &it.msg)
	case it.msg.flags&msgRequest != 0:
		b.respond(it.from, &it.msg)
	default:
		b.reg.RLock()
		h := b.handlers[it.msg.channel]
		b.reg.RUnlock()
		if h == nil {
			b.dropped(DropNoHandler, len(it.msg.body))
			return
		}
		b.guard("handler", func() { h(Message{From: it.from.member(), Number: it.msg.seq, Body: it.msg.body}) })
	}
}

// guard calls f, which is not ours, and survives its panic.
func (b *Bus) guard(what string, f func()) (panicked bool) {
	defer func() {
		if r := recover(); r != nil {
			panicked = true
			b.log.Error("panic in a function given to the bus", "what", what, "panic", fmt.Sprint(r), slog.String("stack", string(debug.Stack())))
		}
	}()
	f()
	return false
}
