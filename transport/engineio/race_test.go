package engineio_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/engineio"
)

// Several goroutines send while the client upgrades, and the client sends
// too. Each goroutine's messages arrive in order, each of them once.
func TestUpgradeUnderLoad(t *testing.T) {
	const senders, each, uploads = 4, 250, 60
	var mu sync.Mutex
	heard := map[*peer][]string{}
	r := newRigWith(t, engineio.Options{MaxQueue: 8 << 20}, false, func(p *peer, _ bool, data []byte) error {
		mu.Lock()
		defer mu.Unlock()
		heard[p] = append(heard[p], string(data))
		return nil
	})
	for round := range 10 {
		q, p := r.poll()
		var wg sync.WaitGroup
		for s := range senders {
			wg.Go(func() {
				for i := range each {
					f := transport.Text(fmt.Sprintf("4%d/%d", s, i))
					if i%10 == 0 { // with an attachment
						f = transport.NewFrames(f.Parts()[0], transport.Frame{Binary: true, Data: []byte("x")})
					}
					if err := p.Send(f); err != nil {
						t.Errorf("Send: %v", err)
					}
					if i%16 == round {
						runtime.Gosched()
					}
				}
			})
		}

		// The client, as the protocol has it: it polls and posts until the
		// probe is answered and what it has under way has ended, then "5".
		var next [senders]int
		total := 0
		take := func(packet string) {
			if packet == "2" || packet == "6" || strings.HasPrefix(packet, "b") || packet == "x" {
				return
			}
			var s, i int
			if _, err := fmt.Sscanf(packet, "4%d/%d", &s, &i); err != nil {
				t.Errorf("received %q", packet)
				return
			}
			if i != next[s] {
				t.Errorf("message %d of sender %d came when %d was due", i, s, next[s])
			}
			next[s]++
			total++
		}
		pause := make(chan struct{})
		polls := async(func() {
			for {
				select {
				case <-pause:
					return
				default:
				}
				a, err := r.do("GET", q, "")
				if err != nil || a.status != 200 {
					t.Errorf("poll: %d %q (%v)", a.status, a.body, err)
					return
				}
				for packet := range strings.SplitSeq(a.body, "\x1e") {
					take(packet)
				}
			}
		})
		sent := 0
		posts := async(func() {
			for sent < uploads {
				select {
				case <-pause:
					return
				default:
				}
				if a, err := r.do("POST", q, fmt.Sprintf("4%d\x1e4%d", sent, sent+1)); err != nil || a.body != "ok" {
					t.Errorf("post: %d %q (%v)", a.status, a.body, err)
					return
				}
				sent += 2
			}
		})
		c := r.candidate(q)
		c.write("2probe")
		c.want("3probe")
		close(pause)
		recv(t, polls)
		recv(t, posts)
		c.write("5")
		for ; sent < uploads; sent++ {
			c.write(fmt.Sprintf("4%d", sent))
		}
		for total < senders*each {
			take(c.read())
		}
		wg.Wait()
		until(t, func() bool { return p.Buffered() == 0 })
		until(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(heard[p]) == uploads })
		for i, got := range heard[p] {
			if got != fmt.Sprint(i) {
				t.Fatalf("server received %q when %d was due", got, i)
			}
		}
		_ = c.Close(websocket.StatusNormalClosure, "")
	}
}

// Everything at the same time: what holds is that Closed comes once, and that
// nothing hangs or panics.
func TestTogether(t *testing.T) {
	r := newRig(t, engineio.Options{}, false)
	for i := range 30 {
		q, p := r.poll()
		var wg sync.WaitGroup
		wg.Go(func() {
			for p.Send(transport.Text("4x")) == nil {
				p.SendVolatile(transport.Text("4y"))
				p.Buffered()
				p.Transport()
			}
		})
		wg.Go(func() {
			for {
				if a, err := r.do("GET", q, ""); err != nil || a.status != 200 || a.body == "1" {
					return
				}
			}
		})
		wg.Go(func() {
			for {
				if a, err := r.do("POST", q, "4a\x1e4b"); err != nil || a.status != 200 {
					return
				}
			}
		})
		wg.Go(func() {
			c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(r.url, "http")+strings.Replace(q, "polling", "websocket", 1), nil)
			if err != nil {
				return // the session had ended
			}
			defer c.CloseNow()
			_ = c.Write(t.Context(), websocket.MessageText, []byte("2probe"))
			_ = c.Write(t.Context(), websocket.MessageText, []byte("5"))
			for {
				if _, _, err := c.Read(t.Context()); err != nil {
					return
				}
			}
		})
		switch i % 3 {
		case 0:
			p.Close()
		case 1:
			p.Abort(engineio.ReasonTransportError)
		}
		if i%3 == 2 {
			until(t, func() bool { return p.Buffered() > 0 || p.Transport() == engineio.WebSocket || len(p.closed) > 0 })
			p.Abort("")
		}
		recv(t, p.closed)
		wg.Wait()
		if len(p.closed) > 0 {
			t.Fatal("Closed was called twice")
		}
	}
}

// Sessions and goroutines come back to where they were.
func TestNothingLeft(t *testing.T) {
	cycles := 500
	if testing.Short() {
		cycles = 50
	}
	r := newRig(t, engineio.Options{}, false)
	once := func(i int) {
		switch i % 6 {
		case 0, 1: // polling
			q, p := r.poll()
			r.want(r.must("POST", q, "4a"), 200, "ok")
			r.want(r.get(q), 200, "4a")
			if i%6 == 0 {
				r.want(r.must("POST", q, "1"), 200, "ok")
			} else {
				p.Abort(engineio.ReasonPingTimeout)
			}
			recv(t, p.closed)
		case 2, 3: // WebSocket
			c, p := r.session()
			c.write("4a")
			c.want("4a")
			if i%6 == 2 {
				_ = c.Close(websocket.StatusNormalClosure, "")
			} else {
				p.Close()
				c.wantClose(websocket.StatusNormalClosure)
			}
			recv(t, p.closed)
			_ = c.CloseNow()
		case 4: // from one to the other
			q, p := r.poll()
			c := r.upgrade(q)
			c.write("4a")
			c.want("4a")
			_ = c.CloseNow()
			recv(t, p.closed)
		case 5: // candidate given up
			q, p := r.poll()
			c := r.candidate(q)
			c.write("4a")
			c.wantClose(websocket.StatusNormalClosure)
			r.want(r.must("POST", q, "1"), 200, "ok")
			recv(t, p.closed)
			_ = c.CloseNow()
		}
	}
	for i := range 12 {
		once(i)
	}
	idle := func() int {
		r.http.CloseIdleConnections()
		return runtime.NumGoroutine()
	}
	until(t, func() bool { return r.Sessions() == 0 })
	before := idle()
	for i := range cycles {
		once(i)
	}
	until(t, func() bool { return r.Sessions() == 0 && idle() <= before })
}

func async(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}
