package socketio_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A client for whom nothing was said for long is recovered, however little is
// kept of what was said to others meanwhile (R10); and gets what it missed.
func TestRecoveryOfTheQuiet(t *testing.T) {
	for to, where := range []string{"on its node", "on another"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all := newBubbles(t, 2)
				v := all[0].arrive()
				<-all[0].sockets
				other := all[0].arrive()
				s := <-all[0].sockets
				var readers sync.WaitGroup
				defer readers.Wait()
				defer other.cut()
				readers.Go(func() { // ends with the connection
					for {
						if _, err := other.next(); err != nil {
							return
						}
					}
				})
				check(t, all[0].Of("/").Emit("e", 1))
				if got := v.numbers(t, 1); !slices.Equal(got, []int{1}) {
					t.Fatal(got)
				}
				readers.Go(func() {
					for range 9 {
						time.Sleep(time.Minute)
						check(t, s.Emit("e", 0))
					}
					v.cut()
				})
				if packet, err := v.next(); err == nil {
					t.Fatalf("got %q", packet)
				}
				time.Sleep(time.Second)
				for i := range 3 {
					check(t, all[i%2].Of("/").Emit("e", 2+i))
					time.Sleep(30 * time.Second)
				}
				v.back(all[to])
				if !v.recovered {
					t.Fatalf("not recovered: %v", all[to].counted().notRecovered)
				}
				if got := v.numbers(t, 3); !slices.Equal(got, []int{2, 3, 4}) {
					t.Errorf("got %v", got)
				}
				v.cut()
			})
		})
	}
}
