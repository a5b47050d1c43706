package socketio

import (
	"hash/maphash"
	"net"
	"sync"
	"time"
)

// misses bound what clients can make nodes say to each other with identifiers
// that are made up.
type misses struct {
	searches bucket // of all nodes, for a seat

	once sync.Once
	seed maphash.Seed
	by   [1024]bucket // what was asked for in vain, by the address, or some
}

// The rates are by second. A bucket that is full is as many seconds' worth.
const (
	searchRate = 200
	missRate   = 20
	fullBucket = 10
)

// take reports whether a client of an address may have missed once more.
func (m *misses) take(address string) bool {
	m.once.Do(func() { m.seed = maphash.MakeSeed() })
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	return m.by[maphash.String(m.seed, host)%uint64(len(m.by))].takeAt(missRate) && m.searches.take()
}

// A bucket holds tokens. The zero bucket is full.
type bucket struct {
	mu    sync.Mutex // guards all below
	spent float64
	last  time.Time
}

func (b *bucket) take() bool { return b.takeAt(searchRate) }

func (b *bucket) takeAt(rate float64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.spent = max(0, b.spent-now.Sub(b.last).Seconds()*rate)
	b.last = now
	if b.spent+1 > rate*fullBucket {
		return false
	}
	b.spent++
	return true
}

// pending are the requests of other nodes that wait for handlers of this one.
type pending struct {
	mu     sync.Mutex // guards n and closed
	n      int
	closed bool
	wg     sync.WaitGroup
}

const maxPending = 4096

// begin reports whether one more may.
func (p *pending) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.n == maxPending {
		return false
	}
	p.n++
	p.wg.Add(1)
	return true
}

func (p *pending) end() {
	p.mu.Lock()
	p.n--
	p.mu.Unlock()
	p.wg.Done()
}

// close waits for those that there are, and lets none begin.
func (p *pending) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.wg.Wait()
}
