package engineio_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/engineio"
)

// down is how long a node may be silent before the others give it up.
const down = 6500 * time.Millisecond

// inCluster runs f in a bubble, with n nodes whose sessions stay where they are.
func inCluster(t *testing.T, name string, n int, opts engineio.Options, f func(t *testing.T, c *cluster)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { f(t, newCluster(t, n, opts, true)) })
	})
}

// Polling requests for a session of another node, and what can befall them.
func TestForwarding(t *testing.T) {
	inCluster(t, "no such node, no such session", 2, engineio.Options{}, func(t *testing.T, c *cluster) {
		start := time.Now()
		self := c.nodes[1].bus.Self().ID.Short()
		for _, sid := range []string{"abcdefgh-x", self + "-x", self + "-", self, "-", strings.Repeat("x", 5000), self + "-" + strings.Repeat("x", 5000)} {
			c.to(0)
			c.want(c.get("&transport=polling&sid="+sid), 400, unknown)
			c.want(c.must("POST", "&transport=polling&sid="+sid, "4a"), 400, unknown)
		}
		if took := time.Since(start); took > 50*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
	inCluster(t, "long POSTs, and longer than that", 2, engineio.Options{MaxPayload: 1 << 20}, func(t *testing.T, c *cluster) {
		q, _ := c.pollAt(0)
		c.to(1)
		long := "4" + strings.Repeat("x", 1<<20-1)
		c.want(c.must("POST", q, long), 200, "ok")
		c.want(c.get(q), 200, long)
		c.want(c.must("POST", q, long+"x"), 413, "")
		c.want(c.must("POST", q, "4lives"), 200, "ok")
		c.want(c.get(q), 200, "4lives")
		time.Sleep(time.Second) // net/http is slow to close the connection of the long one
	})
	inCluster(t, "GETs at two edges overlap", 3, engineio.Options{}, func(t *testing.T, c *cluster) {
		q, p := c.pollAt(0)
		c.to(1)
		first := c.waiting(p, q)
		c.to(2)
		c.want(c.get(q), 400, "")
		c.want(recv(t, first), 200, "1")
		p.want(t, engineio.ReasonTransportError)
	})
	inCluster(t, "the client hangs up", 2, engineio.Options{}, func(t *testing.T, c *cluster) {
		q, p := c.pollAt(0)
		c.to(1)
		ctx, cancel := context.WithCancel(t.Context())
		go c.doIn(ctx, "GET", q)
		until(t, p.Waits)
		cancel()
		p.want(t, engineio.ReasonTransportError)
	})
	inCluster(t, "the owner goes down: a poll that waits is told, later ones at once", 2, engineio.Options{}, func(t *testing.T, c *cluster) {
		q, p := c.pollAt(0)
		c.to(1)
		poll := c.waiting(p, q)
		start := time.Now()
		c.nodes[0].weather.change(cutOff, 0)
		c.want(recv(t, poll), 400, unknown)
		if took := time.Since(start); took > down {
			t.Errorf("told after %v", took)
		}
		start = time.Now()
		c.want(c.must("POST", q, "4a"), 400, unknown)
		if took := time.Since(start); took > 0 {
			t.Errorf("refused after %v", took)
		}
		p.want(t, engineio.ReasonTransportError) // it is cut off, too, and knows
	})
	inCluster(t, "the edge goes down: the session ends", 2, engineio.Options{}, func(t *testing.T, c *cluster) {
		q, p := c.pollAt(0)
		c.to(1)
		c.waiting(p, q)
		start := time.Now()
		c.nodes[1].weather.change(cutOff, 0)
		p.want(t, engineio.ReasonTransportError)
		if took := time.Since(start); took > down {
			t.Errorf("ended after %v", took)
		}
	})
	inCluster(t, "an edge that is cut off serves its own sessions alone", 2, engineio.Options{}, func(t *testing.T, c *cluster) {
		q, _ := c.pollAt(0)
		own, p := c.pollAt(1)
		c.nodes[1].weather.change(cutOff, 0)
		time.Sleep(5 * time.Second) // 3 beats, and what they vary
		c.to(1)
		start := time.Now()
		c.want(c.get(q), 400, unknown)
		if took := time.Since(start); took > 0 {
			t.Errorf("refused after %v", took)
		}
		c.want(c.must("POST", own, "4a"), 200, "ok")
		c.want(c.get(own), 200, "4a")
		_ = p
		c.nodes[1].weather.change(fair, 0)
		time.Sleep(10 * time.Second)
		c.want(c.must("POST", q, "4b"), 200, "ok")
		c.want(c.get(q), 200, "4b")
	})
	inCluster(t, "a POST that is worked on has time", 2, engineio.Options{PingInterval: time.Hour}, func(t *testing.T, c *cluster) {
		q, p := c.pollAt(0)
		release := make(chan struct{})
		p.hear = func(*peer, bool, []byte) error { <-release; return nil }
		c.to(1)
		post := c.later("POST", q, "4a")
		time.Sleep(20 * time.Second)
		close(release)
		c.want(recv(t, post), 200, "ok")
	})
	inCluster(t, "order over edges of which one is slow", 3, engineio.Options{}, func(t *testing.T, c *cluster) {
		q, _ := c.pollAt(0)
		c.nodes[2].weather.change(fair, 40*time.Millisecond)
		c.to(-1)
		var got []string
		go func() {
			for i := range 100 {
				c.must("POST", q, fmt.Sprintf("4%d\x1e4%d+", i, i))
			}
		}()
		for len(got) < 200 {
			got = append(got, strings.Split(c.get(q).body, "\x1e")...)
		}
		for i := range 100 {
			if got[2*i] != fmt.Sprintf("4%d", i) || got[2*i+1] != fmt.Sprintf("4%d+", i) {
				t.Fatalf("%d: %q", i, got[2*i:2*i+2])
			}
		}
	})
	inCluster(t, "an edge that leaves answers the polls that wait", 2, engineio.Options{}, func(t *testing.T, c *cluster) {
		q, p := c.pollAt(0)
		c.to(1)
		poll := c.waiting(p, q)
		if err := c.nodes[1].Drain(t.Context(), 0); err != nil {
			t.Error(err)
		}
		c.want(recv(t, poll), 200, "6")
		start := time.Now()
		c.want(c.get(q), 200, "6") // it has not stopped yet
		if took := time.Since(start); took < 900*time.Millisecond || took > 1100*time.Millisecond {
			t.Errorf("answered after %v", took)
		}
		c.to(0)
		c.want(c.must("POST", q, "4a"), 200, "ok")
		c.want(c.get(q), 200, "4a")
	})
}

// doIn makes a request that ctx ends.
func (r *rig) doIn(ctx context.Context, method, query string) {
	req, err := http.NewRequestWithContext(ctx, method, r.url+query, http.NoBody)
	if err != nil {
		return
	}
	if res, err := r.http.Do(req); err == nil {
		res.Body.Close()
	}
}

// pipeAt opens a session of one node whose WebSocket is at another.
func (c *cluster) pipeAt(owner, edge int) (*socket, *peer) {
	c.t.Helper()
	q, p := c.pollAt(owner)
	c.to(edge)
	ws := c.upgrade(q)
	ws.write("4a")
	ws.want("4a")
	return ws, p
}

// WebSockets of sessions of another node, and what can befall them.
func TestPipe(t *testing.T) {
	inCluster(t, "a second candidate is opened and closed", 2, engineio.Options{}, func(t *testing.T, c *cluster) {
		q, _ := c.pollAt(0)
		c.to(1)
		first := c.candidate(q)
		second := c.candidate(q)
		second.wantClose(websocket.StatusNormalClosure)
		first.write("2probe")
		first.want("3probe")
		first.write("5")
		first.write("4a")
		first.want("4a")
	})
	inCluster(t, "pings cross it", 2, beats, func(t *testing.T, c *cluster) {
		ws, p := c.pipeAt(0, 1)
		for range 3 {
			ws.want("2")
			ws.write("3")
		}
		p.want(t, engineio.ReasonPingTimeout) // it is not answered any more
	})
	inCluster(t, "the owner goes down: the client is told to go", 2, engineio.Options{}, func(t *testing.T, c *cluster) {
		ws, p := c.pipeAt(0, 1)
		start := time.Now()
		c.nodes[0].weather.change(cutOff, 0)
		ws.wantClose(websocket.StatusGoingAway)
		if took := time.Since(start); took > down+time.Second {
			t.Errorf("told after %v", took)
		}
		p.want(t, engineio.ReasonTransportError)
	})
	inCluster(t, "the edge goes down: the session ends", 2, engineio.Options{}, func(t *testing.T, c *cluster) {
		_, p := c.pipeAt(0, 1)
		start := time.Now()
		c.nodes[1].weather.change(cutOff, 0)
		p.want(t, engineio.ReasonTransportError)
		if took := time.Since(start); took > down {
			t.Errorf("ended after %v", took)
		}
		synctest.Wait()
		if c.nodes[0].Pipes() != 0 {
			t.Error("the pipe is left")
		}
	})
	inCluster(t, "an edge that drains sends its clients away", 2, engineio.Options{}, func(t *testing.T, c *cluster) {
		ws, p := c.pipeAt(0, 1)
		if err := c.nodes[1].Drain(t.Context(), 0); err != nil {
			t.Error(err)
		}
		ws.wantClose(websocket.StatusGoingAway)
		p.want(t, engineio.ReasonTransportClose)
		synctest.Wait()
		if c.nodes[1].Edges() != 0 {
			t.Error("the edge is left")
		}
	})
	inCluster(t, "an owner that drains sends its clients away", 2, engineio.Options{}, func(t *testing.T, c *cluster) {
		ws, p := c.pipeAt(0, 1)
		_ = p.Send(transport.Text("4last"))
		if err := c.nodes[0].Drain(t.Context(), 0); err != nil {
			t.Error(err)
		}
		ws.want("4last")
		ws.wantClose(websocket.StatusGoingAway)
		p.want(t, engineio.ReasonForcedClose)
	})
	inCluster(t, "a client that takes nothing is cut, and fills neither node", 2, engineio.Options{MaxQueue: 1 << 20, WriteTimeout: time.Hour}, func(t *testing.T, c *cluster) {
		_, p := c.pipeAt(0, 1)
		f := transport.Text("4" + strings.Repeat("x", 10_000))
		sent := 0
		for p.Send(f) == nil {
			sent += 10_000
			time.Sleep(time.Millisecond)
			if n := c.nodes[1].Buffered(); n > 300_000 {
				t.Fatalf("%d bytes at the edge", n)
			}
		}
		if sent < 1<<20 || sent > 2<<20 {
			t.Errorf("cut after %d bytes", sent)
		}
		p.want(t, engineio.ReasonTransportError)
	})
	inCluster(t, "an application that takes nothing slows its client down", 2, engineio.Options{PingInterval: time.Hour}, func(t *testing.T, c *cluster) {
		ws, p := c.pipeAt(0, 1)
		blocked, took := make(chan struct{}), 0
		p.hear = func(*peer, bool, []byte) error { <-blocked; took++; return nil }
		var mu sync.Mutex
		wrote := 0
		go func() {
			for range 1000 {
				if ws.Write(context.Background(), websocket.MessageText, []byte("4"+strings.Repeat("x", 10_000))) != nil {
					return
				}
				mu.Lock()
				wrote++
				mu.Unlock()
			}
		}()
		time.Sleep(time.Minute)
		mu.Lock()
		if wrote < 20 || wrote > 60 { // a window, and what lies in connections
			t.Errorf("wrote %d times 10 kB", wrote)
		}
		mu.Unlock()
		close(blocked)
		time.Sleep(time.Minute)
		synctest.Wait()
		if took != 1000 {
			t.Errorf("%d messages came", took)
		}
	})
	inCluster(t, "a broadcast to many clients of one edge is few messages", 2, engineio.Options{}, func(t *testing.T, c *cluster) {
		var sockets []*socket
		var sessions []*peer
		for range 50 {
			ws, p := c.pipeAt(0, 1)
			sockets, sessions = append(sockets, ws), append(sessions, p)
		}
		f := transport.Text("4" + strings.Repeat("x", 1000))
		before := c.nodes[0].weather.bytes()
		for _, p := range sessions {
			_ = p.Send(f)
		}
		for _, ws := range sockets {
			ws.want(string(f.Parts()[0].Data))
		}
		if n := c.nodes[0].weather.bytes() - before; n > 5000 {
			t.Errorf("%d bytes for 50 clients", n)
		}
	})
}

// Whatever is at which node, nothing is lost, doubled or out of order while
// clients upgrade; both by moves and by pipes.
func TestUpgradesAcross(t *testing.T) {
	for _, hold := range []time.Duration{0, hold} {
		t.Run(fmt.Sprintf("hold %v", hold), func(t *testing.T) {
			c := newCluster(t, 3, engineio.Options{UpgradeHold: hold}, false)
			var wg sync.WaitGroup
			for range 60 {
				wg.Go(func() { c.converse() })
			}
			wg.Wait()
		})
	}
}

// converse has a client say 40 things while it upgrades, and hear them.
func (c *cluster) converse() {
	a, err := c.do("GET", "&transport=polling", "")
	if err != nil || a.status != 200 {
		c.t.Errorf("handshake: %v, %v", a, err)
		return
	}
	q := "&transport=polling&sid=" + c.sid(a.body)
	var got []string
	for i := range 20 {
		if a, err := c.do("POST", q, fmt.Sprintf("4%d", i)); err != nil || a.body != "ok" {
			c.t.Errorf("POST: %v, %v", a, err)
			return
		}
	}
	poll := func() {
		a, err := c.do("GET", q, "")
		if err != nil || a.status != 200 {
			c.t.Errorf("GET: %v, %v", a, err)
		}
		for m := range strings.SplitSeq(a.body, "\x1e") {
			if m != "6" {
				got = append(got, m)
			}
		}
	}
	polled := make(chan struct{})
	go func() { poll(); close(polled) }()
	ws := c.candidate(q)
	ws.write("2probe")
	if ws.read() != "3probe" {
		c.t.Error("no answer to the probe")
	}
	<-polled
	ws.write("5")
	for i := 20; i < 40; i++ {
		ws.write(fmt.Sprintf("4%d", i))
	}
	for len(got) < 40 {
		got = append(got, ws.read())
	}
	for i, m := range got {
		if m != fmt.Sprintf("4%d", i) {
			c.t.Errorf("%d: %q", i, m)
		}
	}
}
