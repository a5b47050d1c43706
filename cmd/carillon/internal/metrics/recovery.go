package metrics

import (
	"strings"

	"github.com/carillonhq/carillon/transport/socketio"
)

// recovery adds to h what counts clients that lose their connection and come
// back.
func (m *Metrics) recovery(h *socketio.Hooks) {
	parked := m.counter("recovery_parked_total", "Sockets that were kept for their client, who had lost its connection, to come back.")
	lapsed := m.counters("recovery_lapsed_total", "Such sockets that were given up before their client was recovered; moved are those that went to another node, where it is.", "reason")
	recovered := m.counter("recovery_recovered_total", "Clients that came back and were recovered.")
	replayed := m.counter("recovery_replayed_events_total", "Events that these had missed and were sent.")
	failed := m.counters("recovery_failed_total", "Clients that came back to be recovered and could not be, so that they began anew.", "reason")
	evicted := m.counter("recovery_evicted_events_total", "Events that were given up for want of space before they were too old: recovery.max_bytes.")
	for _, why := range []socketio.Lapse{
		socketio.LapseExpired, socketio.LapseCrowded, socketio.LapseDisconnected, socketio.LapseRefused,
		socketio.LapseUnrecovered, socketio.LapseShutdown, socketio.LapseMoved, socketio.LapseClaimed,
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
