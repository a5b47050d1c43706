package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// handshakes is how many clients connect at the same time.
const handshakes = 64

// A run is one run of a scenario.
type run struct {
	o       Options
	ctx     context.Context // ours: ends with the run
	cancel  context.CancelFunc
	start   time.Time // what times in marks count from
	servers []*server
	meter   *meter
	name    string // of this run, so that its users and rooms are no other's
	wg      sync.WaitGroup

	load   load
	failed failures
	took   *latencies
	status atomic.Pointer[string] // what is going on

	mu    sync.Mutex // guards conns
	conns []*conn    // all that were opened and not ended since

	measured measured
}

// measured is what the measurement itself brought.
type measured struct {
	before, after reading
	count         counts // between the two
	connections   int
	quiet         []usage // the servers' before the first client
}

func newRun(ctx context.Context, o Options, meter *meter) (*run, error) {
	r := &run{o: o, start: time.Now(), meter: meter, name: "bench-" + strings.ToLower(rand.Text()[:8]), took: newLatencies()}
	for _, text := range o.URLs {
		s, err := newServer(text, o.Path)
		if err != nil {
			return nil, err
		}
		r.servers = append(r.servers, s)
	}
	r.ctx, r.cancel = context.WithCancel(ctx)
	r.measured.quiet = meter.read().servers
	r.say("connecting")
	r.wg.Go(r.progress) // ends with ctx
	return r, nil
}

// close ends all clients and waits for what they do.
func (r *run) close() {
	r.cancel()
	r.mu.Lock()
	conns := r.conns
	r.conns = nil
	r.mu.Unlock()
	for _, c := range conns {
		c.end()
	}
	r.wg.Wait()
}

func (r *run) clock() int64 { return int64(time.Since(r.start)) }

func (r *run) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	r.status.Store(&line)
}

// progress tells Options.Progress what goes on.
func (r *run) progress() {
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for before := r.load.delivered.Load(); ; {
		select {
		case <-r.ctx.Done():
			return
		case <-ticker.C:
		}
		line := *r.status.Load()
		if now := r.load.delivered.Load(); now != before {
			line += fmt.Sprintf(", %s messages/s", thousands((now-before)*4))
			before = now
		}
		if n := r.failed.total(); n > 0 {
			line += fmt.Sprintf(", %s errors", thousands(int64(n)))
		}
		r.o.Progress(line)
	}
}

// client opens a session at the server whose turn it is and enters the
// namespace as user.
func (r *run) client(index int, user string) (*conn, error) {
	c, err := r.session(index)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(r.ctx, c.end)
	defer stop()
	if err := c.join(r.o.Auth, user); err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

func (r *run) session(index int) (*conn, error) {
	return r.servers[index%len(r.servers)].dial(r.ctx, index, r.o.Timeout)
}

// begin reads what the client is sent, for h to hear, until the end of the run
// or its own.
func (r *run) begin(c *conn, h hearer) {
	r.mu.Lock()
	r.conns = append(r.conns, c)
	r.mu.Unlock()
	if r.ctx.Err() != nil {
		c.end() // close may have missed it
	}
	r.wg.Add(1)
	c.start(h, func(err error) {
		defer r.wg.Done()
		if !c.ours.Load() && r.ctx.Err() == nil {
			r.failed.add("disconnected: ", err)
		}
		c.end()
	})
}

// discard ends a client before the run does.
func (r *run) discard(c *conn) {
	c.end()
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.conns, c); i >= 0 {
		r.conns = slices.Delete(r.conns, i, i+1)
	}
}

// connectAll connects n clients, some at a time, and returns them by their
// index; those that failed are nil. It fails if all did.
func (r *run) connectAll(n, atATime int, user func(index int) string, each func(*conn, time.Duration)) ([]*conn, error) {
	conns := make([]*conn, n)
	var next, done atomic.Int64
	var wg sync.WaitGroup
	for range min(n, atATime) {
		wg.Go(func() { // ends when no client is left to connect
			for r.ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				began := time.Now()
				c, err := r.client(i, user(i))
				if err != nil {
					r.failed.add("", err)
					continue
				}
				conns[i] = c
				each(c, time.Since(began))
				r.say("connected %s of %s clients", thousands(done.Add(1)), thousands(int64(n)))
			}
		})
	}
	wg.Wait()
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	if done.Load() == 0 {
		return nil, fmt.Errorf("no client could connect: %w", errors.New(r.failed.most()))
	}
	r.measured.connections = int(done.Load())
	return conns, nil
}

// failures counts what went wrong, by what it was.
type failures struct {
	mu    sync.Mutex // guards kinds
	kinds map[string]int
}

func (f *failures) add(prefix string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kinds == nil {
		f.kinds = make(map[string]int)
	}
	f.kinds[prefix+kindOf(err)]++
}

func (f *failures) all() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.kinds)
}

func (f *failures) total() (n int) {
	for _, count := range f.all() {
		n += count
	}
	return n
}

// most is what went wrong most often.
func (f *failures) most() (most string) {
	all := f.all()
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		if most == "" || all[kind] > all[most] {
			most = kind
		}
	}
	return most
}
