package socketio

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Who makes up identifiers has nodes ask each other for them at a rate that is
// bounded, for each address and for all; others are let through meanwhile.
func TestMisses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m misses
		count := func(n int, address func(i int) string) (taken int) {
			for i := range n {
				if m.take(address(i)) {
					taken++
				}
			}
			return taken
		}
		one := func(i int) string { return fmt.Sprint("10.0.0.1:", i) }
		if n := count(1000, one); n > missRate*fullBucket || n < missRate*fullBucket-1 {
			t.Errorf("%d of one address, want %d", n, missRate*fullBucket)
		}
		if !m.take("10.0.0.2:1") {
			t.Error("another pays for it")
		}
		if n := count(5000, func(i int) string { return fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255) }); n > searchRate*fullBucket {
			t.Errorf("%d of all, want %d", n, searchRate*fullBucket)
		}
		time.Sleep(time.Second)
		if n := count(1000, one); n > missRate+1 || n < missRate-1 {
			t.Errorf("%d a second later, want %d", n, missRate)
		}
	})
}
