package socketio_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/transport/socketio"
)

// A node dies when a seat was given up for it, and before it has it: the client
// is somebody new, which is counted, and the nodes that are left forget where the
// seat was (scenario 16).
func TestTakerDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &sea{t: t, hub: memory.NewHub(), rng: rand.New(rand.NewPCG(1, 1)), sessions: make(map[string]*passenger), lag: 40 * time.Millisecond}
		for range 3 {
			w.launch()
		}
		time.Sleep(10 * time.Second)
		v := w.nodes[0].arrive()
		v.cut()
		time.Sleep(time.Second)
		if v.back(w.nodes[1].bubble); !v.recovered {
			t.Fatal("not recovered")
		}
		time.Sleep(time.Second)
		v.cut()
		for w.nodes[1].RecoveryStats().Parked == 0 {
			time.Sleep(time.Millisecond)
		}
		ghost := *v
		done := make(chan error)
		go func() { done <- ghost.connect(w.nodes[2].pipes) }() // ends with the node
		// What it gives takes up to 40 ms.
		for w.nodes[1].RecoveryStats().Parked == 1 {
			time.Sleep(10 * time.Microsecond)
		}
		w.nodes[2].driver.kill()
		w.nodes[2].gate.shut()
		if err := <-done; err == nil {
			t.Error("a node that died has answered")
		}
		sid := v.sid
		if v.back(w.nodes[0].bubble); v.recovered || v.sid == sid {
			t.Errorf("recovered %v, with id %s, of a seat that is lost", v.recovered, v.sid)
		}
		n := 0
		for _, k := range w.nodes[0].counted().notRecovered {
			n += k
		}
		if n != 1 {
			t.Errorf("counted %v", w.nodes[0].counted().notRecovered)
		}
		v.cut()
		time.Sleep(10 * time.Minute)
		for _, b := range w.nodes[:2] {
			if got := b.RecoveryStats(); got != (socketio.RecoveryStats{}) || b.Of("/").Whereabouts() > 0 {
				t.Errorf("node %d keeps %+v, and knows where %d are", b.number, got, b.Of("/").Whereabouts())
			}
		}
	})
}
