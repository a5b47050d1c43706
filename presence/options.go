package presence

import (
	"log/slog"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// Options tune a Tracker. The zero value is ready for use.
type Options struct {
	// Channel is the Tracker's name on the Bus, the same on all nodes. Trackers
	// of other names know nothing of it. Default: "presence".
	Channel string

	// Grace is how long a user stays online whose last device was lost, and
	// how long the users of a node do that crashed or left. Other nodes go by
	// what this one says. Default: 8s. Negative: none. At most 60s.
	Grace time.Duration

	// Heartbeat is the Bus's: the time between two beats of a node, in which
	// the nodes compare what they know. Default: 1s. At least 10ms.
	Heartbeat time.Duration

	// MaxMeta bounds the bytes of a device's metadata that this node accepts.
	// Default: 1024. At most MaxMeta.
	MaxMeta int

	Logger *slog.Logger // Default: slog.Default().
	Hooks  Hooks
}

// Hooks observe a Tracker. They are called on the goroutine that does the
// work, with no lock held, some of them concurrently, and must not block. A
// nil field is skipped.
type Hooks struct {
	// Counts tells at each heartbeat how many users and devices the view has,
	// and how many changes were made since the last one.
	Counts func(c Counts, changes int)

	// State follows every change of the view's State: Synced or stale.
	State func(State)

	// Delay follows every message of another node with the time from its
	// sending until it was applied, as far as it exceeds the fastest one of
	// that node: no clocks are compared.
	Delay func(from broker.Member, d time.Duration)

	// Detected tells, when the users of a silent node are given up, how long
	// after its last sign of life that is.
	Detected func(node broker.Member, after time.Duration, users int)

	// Repair counts the questions put to another node because something was
	// found missing, Snapshot those that ask for all.
	Repair, Snapshot func(from broker.Member)

	// Served counts what this node told another that had asked.
	Served func(to broker.Member, devices, bytes int)

	// Malformed counts messages of another node that could not be read.
	Malformed func(from broker.Member, err error)
}

const (
	defaultGrace = 8 * time.Second
	maxGrace     = time.Minute
)

func (o *Options) fill() {
	if o.Channel == "" {
		o.Channel = defaultChannel
	}
	switch {
	case o.Grace == 0:
		o.Grace = defaultGrace
	case o.Grace < 0:
		o.Grace = 0
	}
	o.Grace = min(o.Grace, maxGrace)
	if o.Heartbeat <= 0 {
		o.Heartbeat = time.Second
	}
	o.Heartbeat = max(o.Heartbeat, 10*time.Millisecond)
	if o.MaxMeta <= 0 {
		o.MaxMeta = 1 << 10
	}
	o.MaxMeta = min(o.MaxMeta, MaxMeta)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}
