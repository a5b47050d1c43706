package socketio

import "sync"

// An inbox runs jobs one at a time, in their order, on a goroutine of the crew
// that it has only while there are any. So the handlers of a socket may wait for
// an acknowledgement that its connection's reader brings.
type inbox struct {
	mu      sync.Mutex // guards all below
	space   sync.Cond  // of jobs, on mu
	jobs    []func()
	running bool
}

// inboxSize bounds the events of one socket that wait for its handlers. A
// client that sends more is not read from meanwhile.
const inboxSize = 64

// push adds a job. It waits while the inbox is full, unless urgent.
func (b *inbox) push(c *crew, urgent bool, job func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.space.L == nil {
		b.space.L = &b.mu
	}
	for !urgent && len(b.jobs) >= inboxSize {
		b.space.Wait()
	}
	b.add(c, job)
}

// offer adds a job unless so many wait already, and reports whether it did.
func (b *inbox) offer(c *crew, limit int, job func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.jobs) >= limit {
		return false
	}
	b.add(c, job)
	return true
}

// add needs mu.
func (b *inbox) add(c *crew, job func()) {
	b.jobs = append(b.jobs, job)
	if !b.running {
		b.running = true
		c.start(b)
	}
}

// idle reports whether there is no job.
func (b *inbox) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.running
}

func (b *inbox) run() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.jobs) > 0 {
		job := b.jobs[0]
		b.jobs[0] = nil
		b.jobs = b.jobs[1:]
		b.space.Broadcast()
		b.mu.Unlock()
		job()
		b.mu.Lock()
	}
	b.jobs, b.running = nil, false
}
