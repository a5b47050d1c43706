package websocket

// An item is what one call queues: a run of whole frames. data belongs to
// any number of queues and is never changed.
type item struct {
	data   []byte
	frames int
}

// itemCost is what an item counts against Options.MaxQueue beside its bytes,
// lest a client that answers nothing makes us keep many empty pongs.
const itemCost = 64

// coalesce is how many bytes of small frames go into one write.
const coalesce = 64 << 10

// fullLocked reports whether the bound of the queue is reached. A frame is
// never refused for its own size: it may exceed the bound by itself.
func (c *Conn) fullLocked() bool {
	n := c.queued
	if c.pending != nil {
		n += itemCost * len(*c.pending)
	}
	return n >= c.a.opts.MaxQueue
}

func (c *Conn) enqueueLocked(it item) {
	if len(it.data) == 0 {
		return
	}
	if c.pending == nil {
		c.pending = c.a.lists.Get().(*[]item)
	}
	*c.pending = append(*c.pending, it)
	c.queued += len(it.data)
	c.wakeLocked()
}

// wakeLocked sees to it that somebody writes what is pending.
func (c *Conn) wakeLocked() {
	switch {
	case c.state != idle || c.sock == nil:
	case c.raw != nil:
		c.state = queued
		c.a.ready.push(c)
	default:
		c.state = writing
		c.a.wg.Go(func() { c.write(batch{}) }) // ends when the queue is empty
	}
}

// takeLocked hands what is pending to a writer; b is empty if nothing is.
func (c *Conn) takeLocked() (b batch) {
	b.items, c.pending = c.pending, nil
	return b
}

// recycle takes back a list of items.
func (a *Acceptor) recycle(items *[]item) {
	clear(*items)
	*items = (*items)[:0]
	if cap(*items) <= 4096 {
		a.lists.Put(items)
	}
}

// A batch is what a writer took from a queue, and how far it got with it.
type batch struct {
	items *[]item
	i     int // the item to write next
	off   int // and how much of it is written
}

func (b *batch) empty() bool { return b.items == nil || b.i == len(*b.items) }

// next returns what to write next: an item as it is if it is the last one or
// large, else as many as fit, copied to scratch.
func (b *batch) next(scratch []byte) []byte {
	items := (*b.items)[b.i:]
	first := items[0].data[b.off:]
	if len(items) == 1 || len(first)+len(items[1].data) > cap(scratch) {
		return first
	}
	scratch = append(scratch[:0], first...)
	for _, it := range items[1:] {
		if len(scratch)+len(it.data) > cap(scratch) {
			break
		}
		scratch = append(scratch, it.data...)
	}
	return scratch
}

// advance notes that n bytes were written, and returns the number of frames
// that this completed.
func (b *batch) advance(n int) (frames int) {
	for n > 0 {
		it := (*b.items)[b.i]
		if rest := len(it.data) - b.off; n < rest {
			b.off += n
			break
		} else {
			n -= rest
		}
		frames += it.frames
		b.i++
		b.off = 0
	}
	return frames
}
