package engineio_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/engineio"
)

// What Node's server gets wrong, each as a client sees it.

// A ping is on its way when the upgrade completes, and the client vanishes
// without a word. Node forgets the pong that it waits for, and the session
// never ends.
func TestDefectUpgradeForgetsPongTimeout(t *testing.T) {
	for _, v3 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			opts := beats
			opts.AllowEIO3 = true
			r := newRig(t, opts, true)
			start := time.Now()
			var q string
			var p *peer
			if v3 {
				r.url = strings.Replace(r.url, "EIO=4", "EIO=3", 1)
				q, p = r.poll3("")
			} else {
				q, p = r.poll()
			}
			time.Sleep(11 * time.Second) // the ping was sent a second ago
			r.upgrade(q)                 // and nothing more is ever read or written
			p.want(t, engineio.ReasonPingTimeout)
			wantAt(t, start, 14*time.Second, "ping timeout")
		})
	}
}

// Node answers a WebSocket request with a bad EIO by 101, and then writes an
// HTTP response into the open WebSocket.
func TestDefectHTTPInsideWebSocket(t *testing.T) {
	r := newRig(t, engineio.Options{NewID: nil}, false)
	for _, query := range []string{"?EIO=3&transport=websocket", "?EIO=5&transport=websocket", "?transport=websocket"} {
		wantUpgradeRefused(t, r, query, upgradeHeaders, "Unsupported protocol version")
	}
	bad := newRig(t, engineio.Options{NewID: failingID}, false)
	wantUpgradeRefused(t, bad, "&transport=websocket", upgradeHeaders, "Bad request")
	if r.Sessions()+bad.Sessions() != 0 {
		t.Error("a session was opened")
	}
}

// Node buffers without limit for a WebSocket that does not read. Here it is
// cut at MaxQueue, and nobody waits for it.
func TestDefectNoBackPressure(t *testing.T) {
	const limit = 64 << 10
	r := newRig(t, engineio.Options{MaxQueue: limit}, false)
	host := strings.Split(r.url, "/")[2]
	conn, err := r.dial(t.Context(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: "+host+"\r\n"+upgradeHeaders+"\r\n"); err != nil {
		t.Fatal(err)
	}
	p := r.peer()
	f := transport.Text("4" + strings.Repeat("x", 10<<10))
	for range 10000 { // 100 MB, if nothing stopped it
		if err = p.Send(f); err != nil {
			break
		}
		if n := p.Buffered(); n > limit+11<<10 {
			t.Fatalf("%d bytes are buffered", n)
		}
	}
	if !errors.Is(err, transport.ErrSlow) && !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Send: %v, want ErrSlow", err)
	}
	if e := recv(t, p.closed); e.reason != engineio.ReasonTransportError || !errors.Is(e.err, transport.ErrSlow) {
		t.Errorf("Closed(%q, %v), want ErrSlow", e.reason, e.err)
	}
}
