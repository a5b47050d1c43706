package main_test

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
)

// A wire is a TCP proxy, between a client and a server, that fails in the ways
// in which networks do.
type wire struct {
	listener net.Listener
	to       string
	wg       sync.WaitGroup

	mu     sync.Mutex // guards all below
	pairs  map[*pair]struct{}
	down   bool   // new connections are refused
	marker []byte // the next connection is cut behind the last byte of this, from the server, when it has come
	times  int    // as often
}

// A pair is one connection through the wire.
type pair struct {
	client, server *net.TCPConn
	frozen         chan struct{} // closed once nothing passes any more
	once           sync.Once
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: l, to: to, pairs: make(map[*pair]struct{})}
	w.wg.Go(w.accept) // ends with the listener
	t.Cleanup(func() {
		_ = l.Close()
		w.each(func(p *pair) { p.end(0) })
		w.wg.Wait()
	})
	return w
}

func (w *wire) url() string { return "http://" + w.listener.Addr().String() }

func (w *wire) accept() {
	for {
		conn, err := w.listener.Accept()
		if err != nil {
			return
		}
		client := conn.(*net.TCPConn)
		w.mu.Lock()
		down, marker, times := w.down, w.marker, w.times
		if !down {
			w.marker = nil
		}
		w.mu.Unlock()
		server, err := new(net.Dialer).DialContext(context.Background(), "tcp", w.to)
		if down || err != nil {
			_ = client.SetLinger(0)
			_ = client.Close()
			if err == nil {
				_ = server.Close()
			}
			continue
		}
		p := &pair{client: client, server: server.(*net.TCPConn), frozen: make(chan struct{})}
		w.mu.Lock()
		w.pairs[p] = struct{}{}
		w.mu.Unlock()
		w.wg.Go(func() { // both end with their connections
			var up sync.WaitGroup
			up.Go(func() { p.pass(p.server, p.client, nil, 0) })
			p.pass(p.client, p.server, marker, times)
			up.Wait()
			w.mu.Lock()
			delete(w.pairs, p)
			w.mu.Unlock()
		})
	}
}

// pass carries bytes one way, until either end is gone.
func (p *pair) pass(to, from *net.TCPConn, marker []byte, times int) {
	buf := make([]byte, 32<<10)
	var seen []byte
	for {
		n, err := from.Read(buf)
		select {
		case <-p.frozen:
			if err != nil {
				return
			}
			continue
		default:
		}
		data := buf[:n]
		if marker != nil {
			seen = append(seen, data...)
			if end := behind(seen, marker, times); end >= 0 {
				_, _ = to.Write(data[:n-(len(seen)-end)])
				p.end(-1)
				return
			}
		}
		if _, failed := to.Write(data); err != nil || failed != nil {
			p.end(-1)
			return
		}
	}
}

// behind returns where the marker has ended for the last of as many times; -1
// if it did not come so often.
func behind(data, marker []byte, times int) int {
	at := 0
	for range times {
		i := bytes.Index(data[at:], marker)
		if i < 0 {
			return -1
		}
		at += i + len(marker)
	}
	return at
}

// end closes both ends: in an orderly way or, with linger 0, by a reset.
func (p *pair) end(linger int) {
	p.once.Do(func() {
		for _, c := range []*net.TCPConn{p.client, p.server} {
			_ = c.SetLinger(linger)
			_ = c.Close()
		}
	})
}

func (w *wire) each(f func(*pair)) {
	w.mu.Lock()
	pairs := make([]*pair, 0, len(w.pairs))
	for p := range w.pairs {
		pairs = append(pairs, p)
	}
	w.mu.Unlock()
	for _, p := range pairs {
		f(p)
	}
}

func (w *wire) reset(*testing.T)    { w.each(func(p *pair) { p.end(0) }) }
func (w *wire) finish(*testing.T)   { w.each(func(p *pair) { p.end(-1) }) }
func (w *wire) freeze(*testing.T)   { w.each(func(p *pair) { close(p.frozen) }) }
func (w *wire) refuse(t *testing.T) { w.set(true); w.reset(t) }
func (w *wire) admit(*testing.T)    { w.set(false) }

func (w *wire) set(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

// cutBehind has the next connection cut.
func (w *wire) cutBehind(marker string, times int) func(*testing.T) {
	return func(*testing.T) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.marker, w.times = []byte(marker), times
	}
}
