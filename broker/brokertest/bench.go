package brokertest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
)

const (
	benchNodes = 3
	benchBody  = 150 // bytes of a message
	// benchWindow is how many messages of a node may be on their way: what is
	// said faster than it is heard is only evicted from the ring.
	benchWindow = 1 << 15
	rawCallers  = 64 // of a raw client's publish, which waits for the broker
)

// A Raw is the broker's own client as one node of a cluster: hear gets all that
// anybody publishes under this name, and publish returns when the broker has
// accepted a message. It may be called concurrently.
type Raw func(b *testing.B, name string, hear func([]byte)) (publish func([]byte) error)

// Bench measures three nodes in this process, with the Bus and with the
// broker's own client, which publishes each message by itself:
//
//	throughput  all nodes say as much as they can, and all hear everything;
//	            messages/s counts what is said
//	latency     from Broadcast to the handlers of the other nodes, while one of
//	            them says 1,000 messages a second; -benchtime 5000x is 5 s.
//	            What is sent late counts from when it should have been.
func Bench(b *testing.B, open func(b *testing.B, n int) []broker.Driver, raw Raw) {
	b.Run("throughput/bus", func(b *testing.B) { benchThroughput(b, busNodes(open)) })
	b.Run("throughput/raw", func(b *testing.B) { benchThroughput(b, rawNodes(raw)) })
	b.Run("latency/bus", func(b *testing.B) { benchLatency(b, busNodes(open)) })
	b.Run("latency/raw", func(b *testing.B) { benchLatency(b, rawNodes(raw)) })
}

// A party is the nodes that are measured.
type party struct {
	publish [benchNodes]func([]byte) error
	callers int
	own     bool // a node hears itself
}

type opener func(b *testing.B, hear func(at int, body []byte)) party

func busNodes(open func(b *testing.B, n int) []broker.Driver) opener {
	return func(b *testing.B, hear func(at int, body []byte)) (p party) {
		p.callers = 1
		for i, bus := range Cluster(b, open(b, benchNodes), broker.Options{}) {
			bus.Handle("load", func(m broker.Message) { hear(i, m.Body) })
			bus.Watch(func(ev broker.Event) {
				if ev.Kind == broker.Gap {
					b.Errorf("gap %d-%d", ev.From, ev.To)
				}
			})
			p.publish[i] = func(body []byte) error {
				for {
					err := bus.Broadcast("load", body)
					if !errors.Is(err, broker.ErrOverflow) {
						return err
					}
					time.Sleep(100 * time.Microsecond)
				}
			}
		}
		return p
	}
}

func rawNodes(open Raw) opener {
	return func(b *testing.B, hear func(at int, body []byte)) (p party) {
		p.callers, p.own = rawCallers, true
		name := Prefix()
		for i := range p.publish {
			p.publish[i] = open(b, name, func(body []byte) { hear(i, body) })
		}
		return p
	}
}

// bodies are like small events: some of each is always the same.
func bodies() [][]byte {
	var bs [][]byte
	for range 1024 {
		s := fmt.Sprintf(`"message",{"room":"room-%d","user":"user-%d","id":"%016x","text":"%x"}`,
			rand.IntN(100), rand.IntN(1000), rand.Uint64(), rand.Perm(40))
		bs = append(bs, []byte("\x00\x00\x00\x00\x00\x00\x00\x00" + s)[:benchBody])
	}
	return bs
}

func benchThroughput(b *testing.B, open opener) {
	var heard [benchNodes][benchNodes]atomic.Int64 // at, of
	p := open(b, func(at int, body []byte) { heard[at][body[0]].Add(1) })
	bs := bodies()
	share := int64(b.N/benchNodes + 1)
	behind := func(of int) (n int64) { // what all have heard of a node
		n = share
		for at := range heard {
			if p.own || at != of {
				n = min(n, heard[at][of].Load())
			}
		}
		return n
	}
	b.ResetTimer()
	begin := time.Now()
	var wg sync.WaitGroup
	for of, publish := range p.publish {
		var said atomic.Int64
		for range p.callers {
			wg.Go(func() {
				for n := said.Add(1); n <= share; n = said.Add(1) {
					for n%256 == 0 && n-behind(of) > benchWindow {
						time.Sleep(50 * time.Microsecond)
					}
					body := slices.Clone(bs[n%1024])
					body[0] = byte(of)
					if err := publish(body); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	for of := range p.publish {
		for end := time.Now().Add(Patience); behind(of) < share; {
			if time.Now().After(end) {
				b.Fatalf("of node %d only %d of %d were heard by all", of, behind(of), share)
			}
			time.Sleep(50 * time.Microsecond)
		}
	}
	took := time.Since(begin)
	b.StopTimer()
	b.ReportMetric(float64(share*benchNodes)/took.Seconds(), "messages/s")
}

func benchLatency(b *testing.B, open opener) {
	const interval = time.Millisecond
	var mu sync.Mutex
	var taken []time.Duration
	var begin time.Time
	done := make(chan struct{})
	p := open(b, func(at int, body []byte) {
		if at == 0 {
			return
		}
		due := begin.Add(time.Duration(binary.LittleEndian.Uint64(body)) * interval)
		took := time.Since(due)
		mu.Lock()
		defer mu.Unlock()
		if taken = append(taken, took); len(taken) == b.N*(benchNodes-1) {
			close(done)
		}
	})
	bs := bodies()
	turns := make(chan []byte, 1024)
	var wg sync.WaitGroup
	for range p.callers {
		wg.Go(func() { // ends when turns is closed
			for body := range turns {
				if err := p.publish[0](body); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.ResetTimer()
	begin = time.Now()
	for i := range b.N {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * interval)))
		body := slices.Clone(bs[i%1024])
		binary.LittleEndian.PutUint64(body, uint64(i))
		turns <- body
	}
	close(turns)
	select {
	case <-done:
	case <-time.After(Patience):
		b.Fatal("not all were heard")
	}
	b.StopTimer()
	wg.Wait()
	slices.Sort(taken)
	for _, q := range []int{50, 99} {
		b.ReportMetric(float64(taken[(len(taken)-1)*q/100].Microseconds())/1000, fmt.Sprint("p", q, "-ms"))
	}
}
