package console

import (
	"time"

	"github.com/carillonhq/carillon/broker"
)

// Channel is that of the reports.
const Channel = channel

func Bucket(d time.Duration) int  { return bucketOf(d) }
func Middle(bucket int) float64   { return middle(bucket) }
func Discreet(text string) string { return discreet(text) }

// Running reports whether the node counts.
func (c *Console) Running() bool { return c.meter.on.Load() }

// Watch has so many more clients of the node watch.
func (c *Console) Watch(more int) {
	c.mu.Lock()
	c.here += more
	c.mu.Unlock()
	c.stir()
}

// Latest is what clients of the node were told last.
func (c *Console) Latest() View {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.latest == nil {
		return View{}
	}
	return *c.latest
}

// Overhear calls f with each report that the node gets.
func (c *Console) Overhear(f func()) {
	c.bus.Handle(channel, func(m broker.Message) {
		f()
		c.hear(m)
	})
}

// Turn has the Meter count, or not.
func (m *Meter) Turn(on bool) { m.on.Store(on) }
