package metrics

import (
	"strings"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport/socketio"
)

// recovery adds to h what counts clients that lose their connection and come
// back.
func (m *Metrics) recovery(h *socketio.Hooks) {
	parked := m.counter("recovery_parked_total", "Sockets that were kept for their client, who had lost its connection, to come back.")
	lapsed := m.counters("recovery_lapsed_total", "Such sockets that were given up before their client was recovered; moved are those that went to another node, where it is, and adopted those that went there as this one stopped.", "reason")
	recovered := m.counter("recovery_recovered_total", "Clients that came back and were recovered.")
	replayed := m.counter("recovery_replayed_events_total", "Events that these had missed and were sent.")
	failed := m.counters("recovery_failed_total", "Clients that came back to be recovered and could not be, so that they began anew.", "reason")
	evicted := m.counter("recovery_evicted_events_total", "Events that were given up for want of space before they were too old: recovery.max_bytes.")
	for _, why := range []socketio.Lapse{
		socketio.LapseExpired, socketio.LapseCrowded, socketio.LapseDisconnected, socketio.LapseRefused,
		socketio.LapseUnrecovered, socketio.LapseShutdown, socketio.LapseMoved, socketio.LapseClaimed,
		socketio.LapseAdopted, socketio.LapseLost,
	} {
		lapsed.WithLabelValues(word(why))
	}
	for _, why := range []socketio.Unrecovered{
		socketio.UnrecoveredUnknown, socketio.UnrecoveredMalformed, socketio.UnrecoveredOffset,
		socketio.UnrecoveredTrimmed, socketio.UnrecoveredTooMuch, socketio.UnrecoveredOvertaken,
		socketio.UnrecoveredUnreachable, socketio.UnrecoveredDied,
	} {
		failed.WithLabelValues(word(why))
	}

	h.Parked = func(string) { parked.Inc() }
	h.Lapsed = func(_ string, why socketio.Lapse) { lapsed.WithLabelValues(word(why)).Inc() }
	h.Recovered = func(_ string, events int) {
		recovered.Inc()
		replayed.Add(float64(events))
	}
	h.NotRecovered = func(_ string, why socketio.Unrecovered) { failed.WithLabelValues(word(why)).Inc() }
	h.Evicted = func(_ string, events int) { evicted.Add(float64(events)) }
}

// word is a reason in one word, as labels are here.
func word[T ~string](why T) string { return strings.ReplaceAll(string(why), " ", "_") }

// kept registers what nodes keep for each other, should one of them die.
func (m *Metrics) kept(stats func() adapter.KeepStats) {
	m.Gauge("recovery_own_records", "Sockets of this node of which another keeps a record, should this one die.",
		func() float64 { return float64(stats().Own) })
	const records = "Records that are kept here of other nodes' sockets, by whether their node is up."
	m.LabeledGauge("recovery_kept_records", records, "node", "up", func() float64 {
		s := stats()
		return float64(s.Records - s.Orphans)
	})
	m.LabeledGauge("recovery_kept_records", records, "node", "dead", func() float64 { return float64(stats().Orphans) })
	m.Gauge("recovery_kept_bytes", "Memory that these records take, about.", func() float64 { return float64(stats().Bytes) })
	m.Gauge("recovery_claimed_records", "Records of dead nodes' sockets that were used, and are remembered so as not to be used twice.",
		func() float64 { return float64(stats().Claims) })
	m.Counter("recovery_refused_records_total", "Records of other nodes' sockets that were not kept, for want of room or because they could not be true.",
		func() float64 { return float64(stats().Refused) })
}
