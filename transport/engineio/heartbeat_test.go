package engineio_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/engineio"
)

var beats = engineio.Options{PingInterval: 10 * time.Second, PingTimeout: 4 * time.Second, UpgradeTimeout: 3 * time.Second}

// wantAt fails t unless the time since start is d.
func wantAt(t *testing.T, start time.Time, d time.Duration, what string) {
	t.Helper()
	got := time.Since(start).Round(time.Millisecond)
	if across > 0 && got > d && got < d+10*time.Millisecond {
		return // what nodes say to each other takes its time
	}
	if got != d {
		t.Errorf("%s after %v, want %v", what, got, d)
	}
}

func TestPingWebSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, beats, true)
		c, p := r.session()
		start := time.Now()
		for i := range 3 {
			c.want("2")
			wantAt(t, start, time.Duration(i)*11*time.Second+10*time.Second, "ping")
			time.Sleep(time.Second)
			c.write("3")
		}
		c.want("2")
		p.want(t, engineio.ReasonPingTimeout)
		wantAt(t, start, 47*time.Second, "ping timeout")
		c.wantClose(-1)
	})
}

// A ping is sent even when no poll waits, and it is not lost.
func TestPingPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, beats, true)
		q, p := r.poll()
		start := time.Now()
		time.Sleep(11 * time.Second)
		r.want(r.get(q), 200, "2")
		r.want(r.must("POST", q, "3"), 200, "ok")
		r.want(r.get(q), 200, "2")
		wantAt(t, start, 21*time.Second, "ping")
		poll := r.later("GET", q, "")
		p.want(t, engineio.ReasonPingTimeout)
		wantAt(t, start, 25*time.Second, "ping timeout")
		r.want(recv(t, poll), 200, "1")
		r.want(r.get(q), 400, `{"code":1,"message":"Session ID unknown"}`)
	})
}

func TestNoPongByPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, beats, true)
		_, p := r.poll()
		start := time.Now()
		p.want(t, engineio.ReasonPingTimeout)
		wantAt(t, start, 14*time.Second, "ping timeout")
	})
}

// Only the text packet is a pong, and what else comes prolongs the wait once.
func TestOnlyPongIsPong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, beats, true)
		c, p := r.session()
		start := time.Now()
		c.write("3") // nobody asked
		c.want("2")
		wantAt(t, start, 10*time.Second, "ping")
		time.Sleep(3 * time.Second)
		if err := c.Write(t.Context(), websocket.MessageBinary, []byte("3")); err != nil {
			t.Fatal(err)
		}
		c.want("3") // an echo
		time.Sleep(3 * time.Second)
		c.write("4still here")
		c.want("4still here")
		p.want(t, engineio.ReasonPingTimeout)
		wantAt(t, start, 17*time.Second, "ping timeout")
	})
}

// A client that vanishes after an upgrade is noticed, whatever part of the
// heartbeat the upgrade fell into. Node's server forgets the pong it waits
// for when an upgrade completes.
func TestHeartbeatAcrossUpgrade(t *testing.T) {
	for _, test := range []struct {
		name    string
		upgrade time.Duration // when
		answer  bool          // the ping that was sent over polling
		end     time.Duration
	}{
		{"before the ping", 5 * time.Second, false, 14 * time.Second},
		{"while the pong is awaited, and it comes", 12 * time.Second, true, 26 * time.Second},
		{"while the pong is awaited, and it does not come", 12 * time.Second, false, 14 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, beats, true)
				q, p := r.poll()
				start := time.Now()
				time.Sleep(test.upgrade)
				c := r.upgrade(q)
				if test.upgrade > 10*time.Second {
					c.want("2") // it moved with the queue
				}
				if test.answer {
					c.write("3")
					c.want("2")
				}
				p.want(t, engineio.ReasonPingTimeout)
				wantAt(t, start, test.end, "ping timeout")
			})
		})
	}
}

// A slow client's queue is bounded over polling as well.
func TestSlow(t *testing.T) {
	slow := 0
	opts := engineio.Options{MaxQueue: 10 << 10}
	opts.Hooks.Polling.Slow = func() { slow++ }
	r := newRig(t, opts, false)
	q, p := r.poll()
	var err error
	for range 20 {
		if err = p.Send(transport.Text("4" + string(make([]byte, 1000)))); err != nil {
			break
		}
	}
	if err != transport.ErrSlow || slow != 1 {
		t.Errorf("Send: %v, want ErrSlow; %d slow cuts", err, slow)
	}
	if e := recv(t, p.closed); e.reason != engineio.ReasonTransportError || e.err != transport.ErrSlow {
		t.Errorf("Closed(%q, %v)", e.reason, e.err)
	}
	r.want(r.get(q), 400, `{"code":1,"message":"Session ID unknown"}`)
}
