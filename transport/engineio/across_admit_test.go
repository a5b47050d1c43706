package engineio_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/transport/engineio"
)

// A WebSocket counts at the node that has it, be it a pipe's or that of a
// session that moved; one that is refused leaves its client on polling.
func TestAdmitAcross(t *testing.T) {
	var admitted, released atomic.Int64
	full := errors.New("full")
	var refuse atomic.Bool
	opts := engineio.Options{UpgradeHold: hold, Admit: func(*http.Request) (func(), error) {
		if refuse.Load() {
			return nil, full
		}
		admitted.Add(1)
		return func() { released.Add(1) }, nil
	}}
	c := newCluster(t, 2, opts, false)
	for _, test := range []struct {
		name string
		wait time.Duration
	}{{"moved", 0}, {"piped", 2 * hold}} {
		t.Run(test.name, func(t *testing.T) {
			admitted.Store(0)
			released.Store(0)
			q := c.open(0)
			if test.wait > 0 {
				c.peer() // the hold is over
			}
			c.to(1)
			ws := c.upgrade(q)
			ws.write("4a")
			ws.want("4a")
			here := int64(0)
			if test.wait == 0 {
				c.peer()
				here = 1 // the first node's has ended
			}
			until(t, func() bool { return admitted.Load() == 2 && released.Load() == here })
			_ = ws.Close(websocket.StatusNormalClosure, "")
			until(t, func() bool { return released.Load() == 2 })
		})
	}
	t.Run("refused", func(t *testing.T) {
		q := c.open(0)
		c.to(1)
		refuse.Store(true)
		_, res, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(c.url, "http")+strings.Replace(q, engineio.Polling, engineio.WebSocket, 1),
			&websocket.DialOptions{HTTPClient: c.http})
		if err == nil || res.StatusCode != http.StatusBadRequest {
			t.Errorf("answered %v, %v", res, err)
		}
		c.want(c.must("POST", q, "4a"), 200, "ok")
		c.want(c.get(q), 200, "4a")
	})
}
