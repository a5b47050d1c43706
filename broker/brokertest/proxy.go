package brokertest

import (
	"context"
	"net"
	"sync"
	"testing"
)

// A Proxy stands between nodes and their broker, which can thus go away, hang
// and come back for them alone. Its methods may be called concurrently, but
// not Start with Cut.
type Proxy struct {
	Addr string // where it listens
	to   string

	mu    sync.Mutex // guards what follows
	l     net.Listener
	conns map[net.Conn]bool
	open  chan struct{} // closed while bytes may pass
	wg    sync.WaitGroup
}

// NewProxy returns a proxy before the broker at to, that is not there yet.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	p := &Proxy{to: to, conns: make(map[net.Conn]bool), open: make(chan struct{})}
	close(p.open)
	l, err := net.Listen("tcp", "127.0.0.1:0") // finds a free port
	if err != nil {
		t.Fatal(err)
	}
	p.Addr = l.Addr().String()
	l.Close()
	t.Cleanup(func() { p.Thaw(); p.Cut() })
	return p
}

// Dial leads through the proxy, whatever address it is given: some brokers tell
// their clients where they are.
func (p *Proxy) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, p.Addr)
}

// Start makes the proxy accept connections.
func (p *Proxy) Start(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.l = l
	p.wg.Go(func() { // ends with l
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", p.to)
			if err != nil {
				in.Close()
				continue
			}
			p.mu.Lock()
			dead := p.l != l
			if !dead {
				p.conns[in], p.conns[out] = true, true
			}
			p.mu.Unlock()
			if dead {
				in.Close()
				out.Close()
				return
			}
			p.wg.Go(func() { p.copy(out, in) })
			p.wg.Go(func() { p.copy(in, out) })
		}
	})
}

// copy ends when either side is closed.
func (p *Proxy) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		open := p.open
		p.mu.Unlock()
		<-open
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, from)
	delete(p.conns, to)
}

// Cut ends all connections and accepts no more, before the next Start.
func (p *Proxy) Cut() {
	p.mu.Lock()
	if p.l != nil {
		p.l.Close()
		p.l = nil
	}
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// Freeze lets nothing pass any more, though the connections stand, and Thaw
// everything.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = make(chan struct{})
}

// Thaw ends Freeze.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
	default:
		close(p.open)
	}
}

// Connections returns how many there are.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns) / 2
}
