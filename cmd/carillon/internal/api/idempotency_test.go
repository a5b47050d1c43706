package api

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// An answer is kept for its time and no longer, and those under way are not
// dropped to make room.
func TestReplays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rs replays
		rs.init(time.Minute, 2)
		served := 0
		serve := func() answer { served++; return answer{status: http.StatusOK} }
		print := fingerprint("p", nil)

		rs.once("a", print, serve)
		time.Sleep(time.Minute - time.Second)
		rs.once("a", print, serve)
		if served != 1 {
			t.Errorf("served %d times within the time", served)
		}
		time.Sleep(time.Second)
		rs.once("a", print, serve)
		if served != 2 {
			t.Errorf("served %d times, want it forgotten after its time", served)
		}

		release := make(chan struct{})
		for _, key := range []string{"b", "c"} {
			go rs.once(key, print, func() answer { <-release; return answer{status: http.StatusOK} })
			synctest.Wait()
		}
		if ans := rs.once("d", print, serve); ans.status != http.StatusServiceUnavailable {
			t.Errorf("got %d while all that is kept is under way", ans.status)
		}
		if ans := rs.once("b", print, serve); ans.status != http.StatusConflict {
			t.Errorf("got %d for one that is under way", ans.status)
		}
		close(release)
		synctest.Wait()
		if ans := rs.once("b", print, serve); ans.status != http.StatusOK || !ans.replayed {
			t.Errorf("got %d, replayed %v", ans.status, ans.replayed)
		}
		if got := len(rs.byKey); got != 2 || rs.order.Len() != 2 {
			t.Errorf("%d keys are kept, in an order of %d", got, rs.order.Len())
		}
	})
}
