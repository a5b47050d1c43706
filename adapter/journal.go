package adapter

import (
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"
)

// A Position is the place of a packet in what this node has delivered. It
// grows from packet to packet; 0 is before the first.
type Position uint64

// JournalOptions bound what a Journal keeps. The zero value is ready for use.
type JournalOptions struct {
	Retention time.Duration // how long a packet is kept. Default: 3m.
	MaxBytes  int           // of one namespace. Default: 32 MiB.
	MaxTotal  int           // of all namespaces. Default: 64 MiB.
}

// A Journal keeps what the namespaces of one node have delivered lately, in a
// Log for each, within bounds that they share. Positions are the Journal's: no
// two packets of any of its namespaces have the same, though one be closed and
// opened anew. All methods may be called concurrently.
type Journal struct {
	opts JournalOptions
	node string
	last atomic.Uint64 // the Position given last

	bytes atomic.Int64

	mu    sync.Mutex // guards all below
	logs  map[*Log]struct{}
	sweep *time.Timer // nil until there is something to let expire, and after Close
	swept sync.WaitGroup
	ended bool
}

// NewJournal returns an empty Journal.
func NewJournal(opts JournalOptions) *Journal {
	if opts.Retention <= 0 {
		opts.Retention = 3 * time.Minute
	}
	if opts.MaxBytes <= 0 {
		opts.MaxBytes = 32 << 20
	}
	if opts.MaxTotal <= 0 {
		opts.MaxTotal = 64 << 20
	}
	return &Journal{opts: opts, node: rand.Text()[:8], logs: make(map[*Log]struct{})}
}

// Bytes returns about how much memory the Logs take.
func (j *Journal) Bytes() int { return int(j.bytes.Load()) }

// Close stops what goes on in the background. The Logs keep what they hold.
func (j *Journal) Close() {
	j.mu.Lock()
	j.ended = true
	if j.sweep != nil && j.sweep.Stop() {
		j.swept.Done()
	}
	j.mu.Unlock()
	j.swept.Wait()
}

func (j *Journal) add(g *Log) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.logs[g] = struct{}{}
}

func (j *Journal) remove(g *Log) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.logs, g)
}

// expire sees to it that what was just appended to an empty Log goes when its
// time is over, though nothing follows it.
func (j *Journal) expire() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.ended && j.sweep == nil {
		j.arm()
	}
}

// arm needs mu.
func (j *Journal) arm() {
	j.swept.Add(1)
	j.sweep = time.AfterFunc(j.opts.Retention/4, func() {
		defer j.swept.Done()
		left := false
		for _, g := range j.all() {
			left = g.expire(time.Now()) || left
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		j.sweep = nil
		if left && !j.ended {
			j.arm()
		}
	})
}

func (j *Journal) all() []*Log {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]*Log, 0, len(j.logs))
	for g := range j.logs {
		all = append(all, g)
	}
	return all
}

// shrink holds MaxTotal. The namespace that keeps most pays, so that a noisy
// one does not cost the others their recovery; and it pays an eighth at once,
// so that not every packet has to look for it.
func (j *Journal) shrink() {
	for j.bytes.Load() > int64(j.opts.MaxTotal) {
		var most *Log
		size := 0
		for _, g := range j.all() {
			if n := g.Bytes(); n > size {
				most, size = g, n
			}
		}
		if most == nil {
			return
		}
		most.shrink(size - size/8)
	}
}
