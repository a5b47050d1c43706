package engineio_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/engineio"
)

const hold = 500 * time.Millisecond

// open begins a session by polling at a node.
func (c *cluster) open(i int) (query string) {
	c.t.Helper()
	c.to(i)
	a := c.get("&transport=polling")
	if a.status != 200 {
		c.t.Fatalf("handshake answered %d %q", a.status, a.body)
	}
	return "&transport=polling&sid=" + c.sid(a.body)
}

// A client that upgrades at another node at once moves there, with what it has
// said and what it was to be told.
func TestMove(t *testing.T) {
	moved, closed := make(chan struct{}, 10), make(chan engineio.Reason, 10)
	opts := engineio.Options{UpgradeHold: hold, InitialPacket: transport.Text("4welcome")}
	opts.Hooks.Moved = func() { moved <- struct{}{} }
	opts.Hooks.Closed = func(_ string, reason engineio.Reason, _ error) { closed <- reason }
	c := newCluster(t, 3, opts, false)
	c.to(0)
	a := c.must("GET", "&transport=polling&token=abc", "", "X-Test", "yes")
	packet, rest, _ := strings.Cut(a.body, "\x1e")
	if rest != "4welcome" {
		t.Errorf("answered %q", a.body)
	}
	q := "&transport=polling&sid=" + c.sid(packet)
	c.to(1)
	c.want(c.must("POST", q, "4hello\x1ebAQID"), 200, "ok") // held
	c.to(2)
	poll := c.later("GET", q, "")
	c.to(1)
	ws := c.candidate(q)
	ws.write("2probe")
	ws.want("3probe")
	c.want(recv(t, poll), 200, "6")
	if n := len(c.opened); n != 0 {
		t.Errorf("the application has %d sessions before it is clear where", n)
	}
	ws.write("5")
	ws.write("4more")
	ws.want("4hello")
	ws.want("\x01\x02\x03")
	ws.want("4more")
	recv(t, moved)
	if got := recv(t, closed); got != engineio.ReasonMoved {
		t.Errorf("closed there: %q", got)
	}
	p := c.peer()
	if p.Transport() != engineio.WebSocket || !strings.HasSuffix(q, p.ID()) {
		t.Errorf("session %s over %q, want %s", p.ID(), p.Transport(), q)
	}
	if h := p.Handshake(); h.Header.Get("X-Test") != "yes" || h.URL.Query().Get("token") != "abc" || h.RemoteAddr == "" || h.Time.IsZero() {
		t.Errorf("handshake %+v", h)
	}
	for i, want := range []int{0, 1, 0} {
		if n := c.nodes[i]; n.Sessions() != want || n.Edges() != 0 || n.Pipes() != 0 {
			t.Errorf("node %d: %d sessions, %d edges, %d pipes, want %d, 0, 0", i, n.Sessions(), n.Edges(), n.Pipes(), want)
		}
	}
	c.to(0)
	c.want(c.get(q), 400, unknown)
	if err := ws.Close(1000, ""); err != nil {
		t.Error(err)
	}
	p.want(t, engineio.ReasonTransportClose)
}

const unknown = `{"code":1,"message":"Session ID unknown"}`

// The time of a hold, in a bubble: who hears of a session, where and when.
func TestHold(t *testing.T) {
	inBubble := func(name string, f func(t *testing.T, c *cluster, start time.Time)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2, engineio.Options{UpgradeHold: hold}, true)
				f(t, c, time.Now())
			})
		})
	}
	inBubble("a client that only polls waits for the hold, once", func(t *testing.T, c *cluster, start time.Time) {
		q := c.open(0)
		c.to(1)
		c.want(c.must("POST", q, "4a\x1e4b"), 200, "ok")
		c.want(c.get(q), 200, "4a\x1e4b")
		if took := time.Since(start); took < hold || took > hold+20*time.Millisecond {
			t.Errorf("answered after %v, want %v", took, hold)
		}
		c.peer()
		start = time.Now()
		c.want(c.must("POST", q, "4c"), 200, "ok")
		c.want(c.get(q), 200, "4c")
		if took := time.Since(start); took > 20*time.Millisecond {
			t.Errorf("answered after %v", took)
		}
	})
	inBubble("a candidate at the session's own node ends it", func(t *testing.T, c *cluster, start time.Time) {
		q := c.open(0)
		c.want(c.must("POST", q, "4a"), 200, "ok")
		ws := c.upgrade(q)
		ws.want("4a")
		if took := time.Since(start); took > 20*time.Millisecond {
			t.Errorf("answered after %v", took)
		}
		if c.nodes[0].Sessions() != 1 {
			t.Error("it has moved")
		}
	})
	inBubble("a candidate elsewhere has longer than the hold", func(t *testing.T, c *cluster, _ time.Time) {
		q := c.open(0)
		c.to(1)
		c.want(c.must("POST", q, "4a"), 200, "ok")
		ws := c.candidate(q)
		ws.write("2probe")
		ws.want("3probe")
		time.Sleep(4 * hold)
		ws.write("5")
		ws.want("4a")
		if c.nodes[1].Sessions() != 1 {
			t.Error("it has not moved")
		}
	})
	inBubble("a late one becomes a pipe", func(t *testing.T, c *cluster, _ time.Time) {
		q := c.open(0)
		time.Sleep(2 * hold)
		c.peer()
		c.to(1)
		ws := c.upgrade(q)
		ws.write("4a")
		ws.want("4a")
		if c.nodes[0].Sessions() != 1 || c.nodes[0].Pipes() != 1 || c.nodes[1].Edges() != 1 {
			t.Error("there is no pipe")
		}
	})
	inBubble("a candidate that fails ends it", func(t *testing.T, c *cluster, start time.Time) {
		q := c.open(0)
		c.want(c.must("POST", q, "4a"), 200, "ok")
		c.to(1)
		ws := c.candidate(q)
		ws.write("abc")
		ws.wantClose(1000)
		c.want(c.get(q), 200, "4a")
		if took := time.Since(start); took > 50*time.Millisecond {
			t.Errorf("answered after %v", took)
		}
	})
	inBubble("much that is said ends it", func(t *testing.T, c *cluster, start time.Time) {
		q := c.open(0)
		long := "4" + strings.Repeat("x", 100_000)
		c.want(c.must("POST", q, "4a"), 200, "ok")
		c.want(c.must("POST", q, long), 200, "ok")
		c.want(c.get(q), 200, "4a\x1e"+long)
		if took := time.Since(start); took > 20*time.Millisecond {
			t.Errorf("answered after %v", took)
		}
	})
	inBubble("the application never hears of one that ends before", func(t *testing.T, c *cluster, _ time.Time) {
		q := c.open(0)
		c.want(c.must("POST", q, "4a\x1e1"), 200, "ok")
		time.Sleep(2 * hold)
		if len(c.opened) != 0 || c.nodes[0].Sessions() != 0 {
			t.Error("it has")
		}
	})
	inBubble("a drain ends it", func(t *testing.T, c *cluster, _ time.Time) {
		q := c.open(0)
		if err := c.nodes[0].Drain(t.Context(), 0); err != nil {
			t.Error(err)
		}
		c.to(1)
		c.want(c.get(q), 200, "1")
	})
	inBubble("nobody waits where there is no other node", func(t *testing.T, c *cluster, _ time.Time) {
		if err := c.nodes[1].bus.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		start := time.Now()
		c.open(0)
		c.peer()
		if took := time.Since(start); took > 0 {
			t.Errorf("accepted after %v", took)
		}
	})
}

// What is under way of the heartbeat when a session moves goes on.
func TestHeartbeatMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := beats
		opts.UpgradeHold = 12 * time.Second // longer than until the ping
		opts.UpgradeTimeout = time.Minute
		c := newCluster(t, 2, opts, true)
		q := c.open(0)
		start := time.Now()
		time.Sleep(opts.PingInterval + time.Second)
		c.to(1)
		ws := c.upgrade(q)
		ws.want("2") // it moved with the queue
		p := c.peer()
		p.want(t, engineio.ReasonPingTimeout)
		if took, want := time.Since(start), opts.PingInterval+opts.PingTimeout; took < want || took > want+20*time.Millisecond {
			t.Errorf("ping timeout after %v, want %v", took, want)
		}
	})
}
