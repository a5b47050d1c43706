package engineio_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/engineio"
)

// upgrade takes a polling session to a WebSocket.
func (r *rig) upgrade(query string) *socket {
	r.t.Helper()
	c := r.candidate(query)
	c.write("2probe")
	c.want("3probe")
	c.write("5")
	return c
}

// candidate opens the WebSocket of an upgrade.
func (r *rig) candidate(query string) *socket {
	r.t.Helper()
	return r.ws(strings.Replace(query, engineio.Polling, engineio.WebSocket, 1))
}

const mismatch = `{"code":3,"message":"Bad request"}`

func TestUpgrade(t *testing.T) {
	upgraded := make(chan struct{}, 100)
	var opts engineio.Options
	opts.Hooks.Upgraded = func() { upgraded <- struct{}{} }
	r := newRig(t, opts, false)

	t.Run("2probe releases a waiting poll with 6, 5 completes", func(t *testing.T) {
		q, p := r.poll()
		poll := r.waiting(p, q)
		c := r.candidate(q)
		c.write("2probe")
		c.want("3probe")
		r.want(recv(t, poll), 200, "6")
		if p.Transport() != engineio.Polling {
			t.Errorf("Transport() = %q before 5", p.Transport())
		}
		c.write("5")
		recv(t, upgraded)
		if p.Transport() != engineio.WebSocket {
			t.Errorf("Transport() = %q after 5", p.Transport())
		}
		c.write("4a")
		c.want("4a")
		r.want(r.get(q), 400, mismatch)
		r.want(r.must("POST", q, "4a"), 400, mismatch)
		if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Error(err)
		}
		p.want(t, engineio.ReasonTransportClose)
	})
	t.Run("messages flow by polling until 5, what is queued then moves in order", func(t *testing.T) {
		q, p := r.poll()
		c := r.candidate(q)
		c.write("2probe")
		c.want("3probe")
		r.want(r.must("POST", q, "4a"), 200, "ok")
		r.want(r.get(q), 200, "4a")
		for _, m := range []string{"4b", "4c", "4d"} {
			if err := p.Send(transport.Text(m)); err != nil {
				t.Fatal(err)
			}
		}
		c.write("5")
		c.write("4e")
		for _, m := range []string{"4b", "4c", "4d", "4e"} {
			c.want(m)
		}
		recv(t, upgraded)
	})
	t.Run("a poll that waits at 5 is refused", func(t *testing.T) {
		q, p := r.poll()
		c := r.candidate(q)
		poll := r.waiting(p, q)
		c.write("5") // Node takes it without a probe, too
		recv(t, upgraded)
		r.want(recv(t, poll), 400, mismatch)
		c.write("4a")
		c.want("4a")
	})
	t.Run("a second candidate is closed, the first goes on", func(t *testing.T) {
		q, _ := r.poll()
		first := r.candidate(q)
		r.candidate(q).wantClose(websocket.StatusNormalClosure)
		first.write("2probe")
		first.want("3probe")
		first.write("5")
		recv(t, upgraded)
		first.write("4a")
		first.want("4a")
	})
	t.Run("a second WebSocket after the upgrade is closed", func(t *testing.T) {
		q, _ := r.poll()
		c := r.upgrade(q)
		recv(t, upgraded)
		r.candidate(q).wantClose(websocket.StatusNormalClosure)
		c.write("4a")
		c.want("4a")
	})
	t.Run("a second WebSocket of a WebSocket session is closed", func(t *testing.T) {
		c, p := r.session()
		r.ws("&transport=websocket&sid=" + p.ID()).wantClose(websocket.StatusNormalClosure)
		c.write("4a")
		c.want("4a")
	})
	t.Run("a probe may be repeated", func(t *testing.T) {
		q, _ := r.poll()
		c := r.candidate(q)
		c.write("2probe")
		c.write("2probe")
		c.want("3probe")
		c.want("3probe")
		c.write("5")
		recv(t, upgraded)
	})
}

// Whatever a candidate does wrong, it is the candidate alone that ends.
func TestUpgradeGivenUp(t *testing.T) {
	failed := make(chan string, 10)
	var opts engineio.Options
	opts.Hooks.UpgradeFailed = func(why string) { failed <- why }
	r := newRig(t, opts, false)
	alive := func(t *testing.T, q string, p *peer) {
		t.Helper()
		r.want(r.must("POST", q, "4a"), 200, "ok")
		r.want(r.get(q), 200, "4a")
		poll := r.waiting(p, q) // and waits again as before
		if err := p.Send(transport.Text("4b")); err != nil {
			t.Fatal(err)
		}
		r.want(recv(t, poll), 200, "4b")
		recv(t, failed)
		c := r.upgrade(q) // another one is welcome
		c.write("4c")
		c.want("4c")
	}
	for _, packet := range []string{"4a", "2", "2prob", "3probe", "6", "1", "", "abc"} {
		for _, probe := range []bool{false, true} {
			t.Run("packet "+packet, func(t *testing.T) {
				q, p := r.poll()
				c := r.candidate(q)
				if probe {
					c.write("2probe")
					c.want("3probe")
				}
				c.write(packet)
				c.wantClose(websocket.StatusNormalClosure)
				alive(t, q, p)
			})
		}
	}
	t.Run("binary 5", func(t *testing.T) {
		q, p := r.poll()
		c := r.candidate(q)
		if err := c.Write(t.Context(), websocket.MessageBinary, []byte("5")); err != nil {
			t.Fatal(err)
		}
		c.wantClose(websocket.StatusNormalClosure)
		alive(t, q, p)
	})
	t.Run("closed by the client", func(t *testing.T) {
		q, p := r.poll()
		c := r.candidate(q)
		c.write("2probe")
		c.want("3probe")
		if err := c.CloseNow(); err != nil {
			t.Fatal(err)
		}
		alive(t, q, p)
	})
	t.Run("the session ends meanwhile", func(t *testing.T) {
		q, p := r.poll()
		c := r.candidate(q)
		c.write("2probe")
		c.want("3probe")
		r.want(r.must("POST", q, "1"), 200, "ok")
		p.want(t, engineio.ReasonTransportClose)
		c.wantClose(websocket.StatusNormalClosure)
		if why := recv(t, failed); why != "closed" {
			t.Errorf("failed because %q", why)
		}
	})
}

func TestUpgradeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, beats, true)
		q, p := r.poll()
		start := time.Now()
		c := r.candidate(q)
		c.write("2probe")
		c.want("3probe")
		c.wantClose(websocket.StatusNormalClosure)
		wantAt(t, start, beats.UpgradeTimeout, "closed")
		r.want(r.must("POST", q, "4a"), 200, "ok")
		r.want(r.get(q), 200, "4a")

		// A candidate has the whole time, whatever became of another one.
		time.Sleep(time.Second)
		c = r.candidate(q)
		c.write("abc")
		c.wantClose(websocket.StatusNormalClosure)
		time.Sleep(2500 * time.Millisecond)
		c = r.candidate(q)
		time.Sleep(2500 * time.Millisecond)
		c.write("2probe")
		c.want("3probe")
		c.write("5")
		c.write("4b")
		c.want("4b")
		if p.Transport() != engineio.WebSocket {
			t.Errorf("Transport() = %q", p.Transport())
		}
	})
}

// While an upgrade is under way no poll waits for long: the client cannot
// complete it before its poll was answered.
func TestPollDuringUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, beats, true)
		q, _ := r.poll()
		c := r.candidate(q)
		c.write("2probe")
		c.want("3probe")
		start := time.Now()
		r.want(r.get(q), 200, "6")
		wantAt(t, start, 100*time.Millisecond, "noop")
	})
}

// A POST that is under way at 5, which a correct client does not do, is taken
// before what the WebSocket brings.
func TestPOSTDuringUpgrade(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	got := make(chan string, 10)
	r := newRigWith(t, engineio.Options{}, false, func(_ *peer, _ bool, data []byte) error {
		if string(data) == "a" {
			close(entered)
			<-leave
		}
		got <- string(data)
		return nil
	})
	q, p := r.poll()
	post := r.later("POST", q, "4a\x1e4never")
	recv(t, entered)
	c := r.upgrade(q)
	c.write("4b")
	until(t, func() bool { return p.Transport() == engineio.WebSocket })
	close(leave)
	r.want(recv(t, post), 400, "")
	if a, b := recv(t, got), recv(t, got); a != "a" || b != "b" {
		t.Errorf("received %q, %q", a, b)
	}
}
