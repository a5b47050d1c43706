package socketio_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport/socketio"
)

// A node falls silent when it has granted a seat, is taken to be dead, and gives
// the seat away when it is back: its client has gone on elsewhere meanwhile, and
// stays who it is, whether it was that node, or another, that had asked.
func TestSeatFromTheSilent(t *testing.T) {
	for at, where := range []string{1: "to where the client is", 2: "to another node"} {
		if where == "" {
			continue
		}
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all, links := linked(t, 3)
				v := all[0].arrive()
				sid, pid := v.sid, v.pid
				time.Sleep(time.Second)
				links[0].Cut(true)
				v.cut()
				time.Sleep(10 * time.Second) // until that is known
				if v.back(all[1]); v.sid != sid {
					t.Fatalf("recovered %v, with another id", v.recovered)
				}
				time.Sleep(time.Second)
				parked := all[at].RecoveryStats().Parked
				all[at].Of("/").Arrive(all[0].Of("/").Node(), adapter.SocketID(sid), pid, 100)
				if n := all[at].RecoveryStats().Parked; n != parked {
					t.Errorf("%d seats are parked, %d were", n, parked)
				}
				links[0].Cut(false)
				time.Sleep(3 * time.Second)
				found(t, v, all...)
				v.cut()
				time.Sleep(10 * time.Minute)
				for i, b := range all {
					if got := b.RecoveryStats(); got != (socketio.RecoveryStats{}) || b.Of("/").Whereabouts() > 0 {
						t.Errorf("node %d keeps %+v, and knows where %d are", i, got, b.Of("/").Whereabouts())
					}
				}
			})
		})
	}
}
