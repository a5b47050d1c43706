package websocket

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/lxzan/gws"

	"github.com/carillonhq/carillon/transport"
)

// readBuffer is what a Conn reads ahead. Larger frames are read past it.
const readBuffer = 1024

// writeBuffer bounds what the kernel takes for a client that reads slowly or
// not at all (Linux doubles it); beyond it our own bound counts.
const writeBuffer = 256 << 10

// An Acceptor turns upgrade requests into Conns and writes for all of them.
// Its methods may be called concurrently.
type Acceptor struct {
	opts     Options
	upgrader *gws.Upgrader
	deflater *transport.Deflater // nil: no compression
	ready    runQueue
	lists    sync.Pool // *[]item, empty: queues of Conns that have something to write
	scratch  sync.Pool // *[]byte of coalesce bytes, for writers that are not workers
	readers  sync.Pool // *bufio.Reader of readBuffer bytes, for those that do not rest
	watch    watch
	poller   poller

	// wg counts the workers and, from Accept to the end of its reading
	// goroutine, each Conn. Whoever starts a goroutine for a Conn in between
	// does it under a count that is held, so that it never rises from zero
	// while Close waits.
	wg sync.WaitGroup

	mu      sync.Mutex // guards what follows
	conns   map[*Conn]struct{}
	running bool
	closed  bool
}

// New returns an Acceptor. It starts no goroutine until the first Accept.
func New(opts Options) *Acceptor {
	a := &Acceptor{opts: opts.withDefaults(), conns: make(map[*Conn]struct{})}
	a.ready.init(a.opts.Linger)
	a.lists.New = func() any { return new(make([]item, 0, 16)) }
	a.scratch.New = func() any { return new(make([]byte, 0, coalesce)) }
	a.readers.New = func() any { return bufio.NewReaderSize(nil, readBuffer) }
	a.watch.wg, a.poller.wg = &a.wg, &a.wg
	opts = a.opts
	server := &gws.ServerOption{
		ReadBufferSize:     readBuffer,
		ReadMaxPayloadSize: a.opts.MaxFrame,
		CheckUtf8Enabled:   true,
		NewSession:         func() gws.SessionStorage { return noSession{} },
		// Recovery stays unset: a panic of a Receiver is to reach Conn.read,
		// which ends the connection.
	}
	if d := opts.Deflate; d != nil {
		a.deflater = transport.NewDeflater(d.Threshold, d.Level)
		server.PermessageDeflate = gws.PermessageDeflate{ // what is left out: no context takeover
			Enabled:             true,
			PoolSize:            d.PoolSize,
			ServerMaxWindowBits: windowBits,
			ClientMaxWindowBits: windowBits,
		}
	}
	a.upgrader = gws.NewUpgrader(events{}, server)
	return a
}

// Accept answers r, an upgrade request (RFC 6455, section 4.2), and returns
// the connection. Headers set on w, such as cookies, go out with the answer.
//
// A *HandshakeError says that r is not a valid upgrade, that w cannot be
// hijacked, or that the Acceptor is closed: nothing was written, and the
// caller answers. After any other error the client's connection is gone.
//
// The Conn reads nothing until its Start, which must be called, or else
// Abort, if there is no Receiver for it after all. The handler should return
// then: the request and its buffers are not needed any more.
func (a *Acceptor) Accept(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	if err := check(r); err != nil {
		return nil, err
	}
	if a.isClosed() {
		return nil, &HandshakeError{http.StatusServiceUnavailable, transport.ErrClosed}
	}
	inner, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, &HandshakeError{http.StatusInternalServerError, err}
	}
	c := newConn(a, inner)
	if n := rw.Reader.Buffered(); n > 0 {
		// The client did not wait for the answer, and net/http has read on.
		c.early = make([]byte, n)
		rw.Reader.Read(c.early) // what is buffered is read in one call without an error
	}
	_ = inner.SetDeadline(time.Time{})
	tune(inner)

	if a.deflater != nil && offersDeflate(r.Header["Sec-Websocket-Extensions"]) {
		c.deflater = a.deflater
	}
	c.reader = new(bufio.Reader)
	c.takeBuffer()
	c.sock, err = a.upgrader.UpgradeFromConn((*gwsConn)(c), c.reader, plain(r, c.deflater != nil))
	if err != nil {
		inner.Close()
		return nil, fmt.Errorf("websocket: handshake: %w", err)
	}
	if err := a.register(c); err != nil {
		inner.Close()
		return nil, err
	}
	c.greet(w.Header(), subprotocol(r))
	return c, nil
}

// tune bounds the kernel's part of the queue.
func tune(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetWriteBuffer(writeBuffer) // the system's default will do, too
	}
}

func (a *Acceptor) isClosed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed
}

// register adds c and, with the first one, starts the workers, which end
// with Close.
func (a *Acceptor) register(c *Conn) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return transport.ErrClosed
	}
	a.wg.Add(1)
	a.conns[c] = struct{}{}
	if !a.running {
		a.running = true
		for range runtime.GOMAXPROCS(0) {
			a.wg.Go(a.work)
		}
	}
	return nil
}

// release undoes register.
func (a *Acceptor) release(c *Conn) {
	a.mu.Lock()
	delete(a.conns, c)
	a.mu.Unlock()
	a.poller.forget(c)
	a.wg.Done()
}

// Close aborts all connections and waits for the end of all goroutines, and
// so for the Receivers, which must not call it. It always returns nil.
func (a *Acceptor) Close() error {
	a.mu.Lock()
	a.closed = true
	conns := make([]*Conn, 0, len(a.conns))
	for c := range a.conns {
		conns = append(conns, c)
	}
	a.mu.Unlock()

	for _, c := range conns {
		c.Abort()
	}
	a.ready.close()
	a.watch.close()
	a.poller.close()
	a.wg.Wait()
	return nil
}
