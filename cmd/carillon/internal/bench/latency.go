package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are kept from a microsecond to two minutes with three digits.
const (
	leastLatency = int64(time.Microsecond)
	mostLatency  = int64(2 * time.Minute)
	digits       = 3
)

// latencies is a histogram that many goroutines fill.
type latencies struct {
	shards [8]struct {
		mu   sync.Mutex // guards hist
		hist *hdrhistogram.Histogram
		_    [64]byte // a line of the cache for each
	}
}

func newLatencies() *latencies {
	l := new(latencies)
	for i := range l.shards {
		l.shards[i].hist = newHistogram()
	}
	return l
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(leastLatency/int64(time.Microsecond), mostLatency/int64(time.Microsecond), digits)
}

// record counts a latency; by tells goroutines apart. What is out of range
// counts as the range's end.
func (l *latencies) record(by int, d time.Duration) {
	s := &l.shards[uint(by)%uint(len(l.shards))]
	us := (int64(d) + 500) / 1000
	us = min(max(us, 1), mostLatency/int64(time.Microsecond))
	s.mu.Lock()
	_ = s.hist.RecordValue(us) // in range
	s.mu.Unlock()
}

func (l *latencies) sum() *hdrhistogram.Histogram {
	all := newHistogram()
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		all.Merge(s.hist)
		s.mu.Unlock()
	}
	return all
}

// Quantiles are latencies, in milliseconds.
type Quantiles struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99.9"`
	Max   float64 `json:"max"`
}

func quantiles(h *hdrhistogram.Histogram) *Quantiles {
	if h.TotalCount() == 0 {
		return nil
	}
	ms := func(us int64) float64 { return float64(us) / 1000 }
	return &Quantiles{
		Count: h.TotalCount(),
		Mean:  h.Mean() / 1000,
		P50:   ms(h.ValueAtQuantile(50)),
		P90:   ms(h.ValueAtQuantile(90)),
		P99:   ms(h.ValueAtQuantile(99)),
		P999:  ms(h.ValueAtQuantile(99.9)),
		Max:   ms(h.Max()),
	}
}
