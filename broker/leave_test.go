package broker_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
)

// A node that cannot hear itself does not give up what is missing of one that
// left, and has nothing to do for that until it hears itself again: if its
// clock ran without a pause, time in this bubble would stand still.
func TestLeaveWhileFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := memory.NewHub()
		x := start(t, hub, "x", broker.Options{})
		y := start(t, hub, "y", broker.Options{})
		synctest.Wait()
		x.faults.set(func(f *faults) { f.mute = true })
		time.Sleep(4500 * time.Millisecond)
		x.take()
		y.faults.set(func(f *faults) {
			f.lose = func(_ string, data []byte) bool { return bytes.Contains(data, []byte("lost")) }
		})
		y.Broadcast("a", []byte("lost"))
		y.Close()
		time.Sleep(10 * time.Second)
		equal(t, x.take())
		x.faults.set(func(f *faults) { f.mute = false })
		time.Sleep(5 * time.Second)
		equal(t, x.take(), "thawed", "y gap 0-1", "y down")
	})
}
