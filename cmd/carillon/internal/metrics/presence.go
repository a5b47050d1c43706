package metrics

import (
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/cmd/carillon/internal/announce"
	"github.com/carillonhq/carillon/presence"
)

// detectBuckets go from a grace of none to the longest one, and what it takes
// to notice.
var detectBuckets = []float64{1, 2, 4, 6, 8, 10, 15, 20, 30, 60, 90}

// Presence returns hooks that count what this node sees of who is here.
func (m *Metrics) Presence() presence.Hooks {
	changes := m.counter("presence_changes_total", "Changes of devices of users, on all nodes, as this node saw them.")
	stale := m.gauges("presence_stale", "1 while users of other nodes may be missing (probation) or what is known of them is old (cut_off), else 0.", "reason")
	probation, cutOff := stale.WithLabelValues("probation"), stale.WithLabelValues("cut_off")
	delay := m.histogram("presence_delay_seconds",
		"How much longer news of presence took than the fastest of that node so far.", lagBuckets)
	detected := m.histogram("presence_detection_seconds",
		"Time from the last sign of life of a node that crashed until its users were taken to be offline.", detectBuckets)
	lost := m.counter("presence_lost_users_total", "Users that went offline because their node crashed.")
	repairs := m.counter("presence_repairs_total", "Questions to other nodes because something was found missing.")
	snapshots := m.counter("presence_snapshots_total", "Questions to other nodes for all that they hold.")
	served := m.counter("presence_served_bytes_total", "Bytes that answered such questions of other nodes.")
	malformed := m.counter("presence_malformed_total", "Messages of other nodes about presence that could not be read.")
	return presence.Hooks{
		Counts: func(_ presence.Counts, n int) { changes.Add(float64(n)) },
		State: func(s presence.State) {
			probation.Set(truth(s == presence.Probation))
			cutOff.Set(truth(s == presence.CutOff))
		},
		Delay: func(_ broker.Member, d time.Duration) { delay.Observe(d.Seconds()) },
		Detected: func(_ broker.Member, after time.Duration, users int) {
			detected.Observe(after.Seconds())
			lost.Add(float64(users))
		},
		Repair:    func(broker.Member) { repairs.Inc() },
		Snapshot:  func(broker.Member) { snapshots.Inc() },
		Served:    func(_ broker.Member, _, bytes int) { served.Add(float64(bytes)) },
		Malformed: func(broker.Member, error) { malformed.Inc() },
	}
}

// Announced returns hooks that count what clients are told of it.
func (m *Metrics) Announced() announce.Hooks {
	told := m.counters("presence_told_total", "Events about presence to clients of this node, one for each client.", "event")
	switched := m.counters("presence_switched_total", "Times that the mode all fell to counts because of too many users, or came back.", "mode")
	for _, mode := range []announce.Mode{announce.All, announce.Counts} {
		switched.WithLabelValues(string(mode))
	}
	replaced := m.counter("presence_replaced_total", "Connections that ended because their device came back by a newer one.")
	return announce.Hooks{
		Told:     func(event string, sockets int) { told.WithLabelValues(event).Add(float64(sockets)) },
		Switched: func(to announce.Mode) { switched.WithLabelValues(string(to)).Inc() },
		Replaced: replaced.Inc,
	}
}
