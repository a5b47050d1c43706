package socketio

import "sync"

// An inbox runs jobs one at a time, in their order, on a goroutine that lives
// only while there are any. So the handlers of a socket may wait for an
// acknowledgement that its connection's reader brings.
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
func (b *inbox) push(wg *sync.WaitGroup, urgent bool, job func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.space.L == nil {
		b.space.L = &b.mu
	}
	for !urgent && len(b.jobs) >= inboxSize {
		b.space.Wait()
	}
	b.jobs = append(b.jobs, job)
	if !b.running {
		b.running = true
		wg.Go(b.run) // ends when no job is left
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
