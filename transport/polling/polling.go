// Package polling carries frames to and from a client over HTTP long-polling,
// as Engine.IO does it (protocol 4 and, where [Conn.Speak] says so, 3): a GET waits until there is something to say and is
// answered with all of it, a POST brings what the client says, and there is
// at most one of each at a time.
//
// The package knows packets only as far as the transport itself needs them:
// how they are joined into a payload, and the packets close and noop, by which
// either side ends a poll.
package polling

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/carillonhq/carillon/transport"
)

var (
	// ErrPayload says that a POST held something that is not an Engine.IO
	// payload. It wraps transport.ErrProtocol.
	ErrPayload = fmt.Errorf("%w: undecodable payload", transport.ErrProtocol)

	// ErrAbandoned says that the client gave up a request under way: a GET
	// that waited, or a POST whose body was not complete.
	ErrAbandoned = errors.New("polling: request abandoned by the client")
)

// errEnded says that a POST was not taken as a whole.
var errEnded = errors.New("polling: ended")

// Options tune an Acceptor. The zero value is ready for use.
type Options struct {
	MaxPayload   int           // bytes of a POST's body; more is answered with 413. Default: 1e6.
	MaxQueue     int           // bytes for one client, and 64 per Send: one that finds so many queued cuts it as too slow. Default: 1 MiB.
	MinCompress  int           // bytes from which an answer is compressed, if the client accepts it. Default: 1024. Negative: never.
	WriteTimeout time.Duration // bounds the writing of one answer. Default: 10s.
	CloseTimeout time.Duration // bounds how long Close waits for the client to fetch what is queued. Default: 2s.
	Hooks        Hooks         // observe; a nil field is skipped.
}

// Hooks are called on the goroutine that does the work and must not block.
type Hooks struct {
	Polled  func(sends, bytes int)  // a GET was answered with so many Sends, before compression; 0: a packet of ours
	Posted  func(frames, bytes int) // a POST brought so many frames that were taken
	Dropped func()                  // a volatile frame was not queued, as no GET waited
	Slow    func()                  // a client was cut, as MaxQueue was reached
}

// itemCost is what each Send counts besides its frames, as the queue itself
// takes memory.
const itemCost = 64

// linger is how long a client that was told to close may still POST what it
// had under way.
const linger = 400 * time.Millisecond

// noopDelay is how long a GET that comes during an upgrade may wait
// (the interval at which Node's server checks for one).
const noopDelay = 100 * time.Millisecond

// An Acceptor makes Conns and waits for their end.
type Acceptor struct {
	opts Options
	zip  compressor
	wg   sync.WaitGroup // one per Conn, until its Receiver's Closed has returned; one per armed timer

	mu     sync.Mutex // guards the fields below; never held together with a Conn's
	conns  map[*Conn]struct{}
	closed bool
}

// New returns an Acceptor.
func New(opts Options) *Acceptor {
	if opts.MaxPayload <= 0 {
		opts.MaxPayload = 1e6
	}
	if opts.MaxQueue <= 0 {
		opts.MaxQueue = 1 << 20
	}
	if opts.MinCompress == 0 {
		opts.MinCompress = 1024
	}
	if opts.WriteTimeout <= 0 {
		opts.WriteTimeout = 10 * time.Second
	}
	if opts.CloseTimeout <= 0 {
		opts.CloseTimeout = 2 * time.Second
	}
	return &Acceptor{opts: opts, conns: make(map[*Conn]struct{})}
}

// Accept returns a new Conn. It answers transport.ErrClosed after Close.
func (a *Acceptor) Accept() (*Conn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, transport.ErrClosed
	}
	c := &Conn{a: a, wake: make(chan struct{}, 1)}
	a.conns[c] = struct{}{}
	a.wg.Add(1)
	return c, nil
}

// Close aborts every Conn and returns once each Receiver's Closed has
// returned. A Conn that was never started is given up.
func (a *Acceptor) Close() error {
	a.mu.Lock()
	a.closed = true
	conns := make([]*Conn, 0, len(a.conns))
	for c := range a.conns {
		conns = append(conns, c)
	}
	a.mu.Unlock()
	for _, c := range conns {
		c.giveUp()
	}
	a.wg.Wait()
	return nil
}

// forget is called once for each Conn, when nothing of it runs any more.
func (a *Acceptor) forget(c *Conn) {
	a.mu.Lock()
	delete(a.conns, c)
	a.mu.Unlock()
	a.wg.Done()
}
