package engineio_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/transport/engineio"
)

// upgrader is a peer that hears of its upgrade.
type upgrader struct {
	*peer
	upgraded chan string // the transport then
}

func (u upgrader) Upgraded() { u.upgraded <- u.Transport() }

func TestObserve(t *testing.T) {
	peers := make(chan upgrader, 10)
	r := newServer(t, func(s *engineio.Session) engineio.Receiver {
		u := upgrader{&peer{Session: s, closed: make(chan end, 2)}, make(chan string, 2)}
		peers <- u
		return u
	})
	var mu sync.Mutex
	var told []string
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprintf(format, args...))
	}
	r.Observe(engineio.Observer{}) // nil fields are skipped
	stop := r.Observe(engineio.Observer{
		Opened:   func(transport string) { note("opened %s", transport) },
		Closed:   func(transport string, reason engineio.Reason) { note("closed %s %s", transport, reason) },
		Received: func(packets, bytes int) { note("received %d %d", packets, bytes) },
		Sent:     func(packets, bytes int) { note("sent %d %d", packets, bytes) },
	})
	q := "&transport=polling&sid=" + r.sid(r.get("&transport=polling").body)
	p := recv(t, peers)
	if n := r.PollingSessions(); n != 1 {
		t.Errorf("%d sessions over polling, want 1", n)
	}
	c := r.upgrade(q)
	if got := recv(t, p.upgraded); got != engineio.WebSocket {
		t.Errorf("upgraded to %q", got)
	}
	if n := r.PollingSessions(); n != 0 {
		t.Errorf("%d sessions over polling after the upgrade, want 0", n)
	}
	c.write("4abc")
	c.want("4abc")
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	p.want(t, engineio.ReasonTransportClose)
	stop()
	r.get("&transport=polling")
	p = recv(t, peers)
	p.Abort(engineio.ReasonForcedClose)
	p.want(t, engineio.ReasonForcedClose)
	if n := r.PollingSessions(); n != 0 {
		t.Errorf("%d sessions over polling at the end, want 0", n)
	}
	mu.Lock()
	defer mu.Unlock()
	want := []string{"opened polling", "received 1 3", "sent 1 4", "closed websocket transport close"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
