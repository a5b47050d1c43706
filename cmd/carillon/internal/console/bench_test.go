package console_test

import (
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/cmd/carillon/internal/console"
	"github.com/carillonhq/carillon/transport/socketio"
)

// BenchmarkMeter is what is added to each event sent to a client, and to each
// envelope of another node: while nobody watches, and while somebody does.
func BenchmarkMeter(b *testing.B) {
	for _, on := range []bool{false, true} {
		meter := new(console.Meter)
		meter.Turn(on)
		name := map[bool]string{false: "unwatched", true: "watched"}[on]
		sockets, bus := meter.Sockets(socketio.Hooks{}), meter.Broker(broker.Hooks{})
		b.Run(name+"/event", func(b *testing.B) {
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					sockets.Sent("/")
				}
			})
		})
		b.Run(name+"/envelope", func(b *testing.B) {
			for b.Loop() {
				bus.Received(1, 100)
				bus.Lag(broker.Member{}, 3*time.Millisecond)
			}
		})
	}
}
