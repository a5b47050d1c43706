package metrics

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
)

// lagBuckets go from a broker on the same machine to one that is in trouble.
var lagBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// Broker returns hooks that count what passes between this node and others.
// Each message of a node is counted where it is sent and at each node that it
// reaches; beats and the like are not. node is this node's name.
func (m *Metrics) Broker(node string) broker.Hooks {
	messages := m.counters("broker_messages_total",
		"Messages to other nodes that the broker took (out), and of other nodes that it brought (in).", "direction")
	out, in := messages.WithLabelValues("out"), messages.WithLabelValues("in")
	envelopes := m.counters("broker_envelopes_total",
		"Envelopes, in which messages travel together: published (out) and received (in).", "direction")
	envelopesOut, envelopesIn := envelopes.WithLabelValues("out"), envelopes.WithLabelValues("in")
	bytes := m.counters("broker_bytes_total", "Bytes of envelopes: published (out) and received (in).", "direction")
	bytesOut, bytesIn := bytes.WithLabelValues("out"), bytes.WithLabelValues("in")
	took := m.histogram("broker_publish_duration_seconds", "Time that the broker took to accept an envelope.", lagBuckets)
	lag := m.histogram("broker_lag_seconds",
		"How much longer an envelope of another node took than the fastest one of that node so far.", lagBuckets)
	trip := m.histogram("broker_round_trip_seconds", "Time of this node's own envelopes to the broker and back.", lagBuckets)
	failed := m.counters("broker_publish_failures_total", "Publishes that failed, and are tried again.", "reason")
	linkErrors := m.counters("broker_connection_errors_total",
		"Times that a connection to the broker was lost, or could not be made anew.", "role")
	reconnects := m.counters("broker_reconnects_total", "Times that a connection to the broker came back.", "role")
	for _, role := range []string{"publisher", "subscriber"} {
		linkErrors.WithLabelValues(role)
		reconnects.WithLabelValues(role)
	}
	dropped := m.counters("broker_dropped_total", "What came from the broker and was not used.", "reason")
	duplicates := m.counter("broker_duplicates_total", "Messages that had come before.")
	gaps := m.counter("broker_gaps_total", "Holes in what other nodes said that could not be repaired.")
	missing := m.counter("broker_gap_messages_total", "Messages that may be missing because of gaps.")
	asked := m.counter("broker_repairs_asked_total", "Requests to other nodes to say again what is missing.")
	repaired := m.counter("broker_repaired_messages_total", "Messages that came for such requests.")
	repairs := m.counter("broker_repair_messages_total", "Messages that this node said again for others.")
	repairBytes := m.counter("broker_repair_bytes_total", "Bytes of the messages that this node said again for others.")
	overflows := m.counter("broker_overflow_total", "Messages that were refused because too much waits for the broker.")
	kept := m.gauge("broker_ring_bytes", "Bytes of this node's messages that are kept: for the broker, and for repairs.")
	waiting := m.gauge("broker_waiting_bytes", "Bytes of this node's messages that the broker has not taken yet.")
	behind := m.histogram("broker_behind_messages", "How many of this node's messages another one had not had yet, at each of its beats.",
		[]float64{0, 1, 10, 100, 1000, 10_000, 100_000})
	downs := m.counter("broker_node_down_total", "Times that another node left or fell silent.")

	return broker.Hooks{
		Published: func(messages, size int, d time.Duration, err error) {
			if err != nil {
				failed.WithLabelValues(publishError(err)).Inc()
				return
			}
			out.Add(float64(messages))
			envelopesOut.Inc()
			bytesOut.Add(float64(size))
			took.Observe(d.Seconds())
		},
		Received: func(messages, size int) {
			in.Add(float64(messages))
			envelopesIn.Inc()
			bytesIn.Add(float64(size))
		},
		Dropped: func(reason broker.DropReason, _ int) {
			dropped.WithLabelValues(strings.ReplaceAll(string(reason), " ", "_")).Inc()
		},
		Duplicate: func(broker.Member) { duplicates.Inc() },
		Gap: func(_ broker.Member, n uint64) {
			gaps.Inc()
			missing.Add(float64(n))
		},
		Asked:    func(broker.Member) { asked.Inc() },
		Repaired: func(_ broker.Member, messages int) { repaired.Add(float64(messages)) },
		Repair: func(_ broker.Member, messages, size int) {
			repairs.Add(float64(messages))
			repairBytes.Add(float64(size))
		},
		Kept: func(bytes, unsent int) {
			kept.Set(float64(bytes))
			waiting.Set(float64(unsent))
		},
		NodeDown: func(broker.Member) { downs.Inc() },
		Overflow: func(string, int) { overflows.Inc() },
		Behind:   func(_ broker.Member, n uint64) { behind.Observe(float64(n)) },
		Link: func(l broker.Link) {
			role := l.Role
			if role == "" {
				role = "connection" // of a driver that has one for both
			}
			if l.Up {
				reconnects.WithLabelValues(role).Inc()
			} else {
				linkErrors.WithLabelValues(role).Inc()
			}
		},
		Lag: func(from broker.Member, d time.Duration) {
			if from.Name == node {
				trip.Observe(d.Seconds())
			} else {
				lag.Observe(d.Seconds())
			}
		},
	}
}

func publishError(err error) string {
	switch {
	case errors.Is(err, broker.ErrTooLarge):
		return "too_large"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "error"
}

// Adapter returns hooks that count what is wrong with other nodes' messages.
func (m *Metrics) Adapter() adapter.Hooks {
	malformed := m.counter("adapter_malformed_total", "Messages of other nodes that could not be read.")
	return adapter.Hooks{Malformed: func(broker.Member) { malformed.Inc() }}
}
