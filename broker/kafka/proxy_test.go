package kafka_test

import (
	"context"
	"net"
	"sync"
	"testing"
)

// A proxy stands between a test and the Kafka that all tests share, which can
// thus go away, hang and come back for one test alone.
type proxy struct {
	addr, kafka string

	mu    sync.Mutex // guards what follows
	l     net.Listener
	conns map[net.Conn]bool
	open  chan struct{} // closed while bytes may pass
	wg    sync.WaitGroup
}

// newProxy returns a proxy that is not there yet.
func newProxy(t *testing.T) *proxy {
	t.Helper()
	p := &proxy{kafka: brokers(t)[0], conns: make(map[net.Conn]bool), open: make(chan struct{})}
	close(p.open)
	l, err := net.Listen("tcp", "127.0.0.1:0") // finds a free port
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().String()
	l.Close()
	t.Cleanup(func() { p.thaw(); p.kill() })
	return p
}

// dial is for Config.Dial: whatever address Kafka says it has, the way leads
// through the proxy.
func (p *proxy) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, p.addr)
}

func (p *proxy) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", p.addr)
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
			out, err := net.Dial("tcp", p.kafka)
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
func (p *proxy) copy(to, from net.Conn) {
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

// kill cuts all connections and accepts no more.
func (p *proxy) kill() {
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

// freeze lets nothing pass any more, and thaw everything.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = make(chan struct{})
}

func (p *proxy) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
	default:
		close(p.open)
	}
}

func (p *proxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns) / 2
}
