package metrics

import (
	"cmp"
	"errors"
	"sync"

	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/polling"
	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/websocket"
)

// Engine returns hooks that count connections and what passes over them.
func (m *Metrics) Engine() engineio.Hooks {
	opened := m.counters("connections_opened_total", "Connections of clients, by the transport that they began with.", "transport")
	closed := m.counters("connections_closed_total", "Ends of connections, by the transport in use then and the reason.", "transport", "reason")
	upgrades := m.counter("upgrades_total", "Connections that went from polling to WebSocket.")
	notUpgraded := m.counters("upgrade_failures_total", "Attempts at that which came to nothing.", "reason")
	forwarded := m.counters("forwarded_requests_total", "Polling requests that this node had another one answer, by what came of it.", "method", "outcome")
	piped := m.counter("pipes_opened_total", "WebSockets at this node that became the transport of another node's session.")
	moved := m.counter("sessions_moved_total", "Sessions that came from another node, to where their WebSocket is.")
	heartbeats := m.counter("heartbeats_total", "Heartbeats of clients.")
	refused := m.counters("requests_refused_total", "Requests of clients that were refused, by Engine.IO's error code.", "code")
	slow := m.counters("slow_clients_total", "Clients that were disconnected because they did not take what was sent.", "transport")
	dropped := m.counters("volatile_dropped_total", "Volatile events that were dropped for a client that was not ready.", "transport")

	writes := m.counter("websocket_writes_total", "Writes to WebSockets.")
	frames := m.counter("websocket_frames_total", "Frames that these writes completed. Frames over writes is what coalescing saves.")
	written := m.counter("websocket_written_bytes_total", "Bytes that were written to WebSockets.")
	blocked := m.gauge("websocket_blocked", "Clients whose socket is full at present.")
	violations := m.counter("websocket_violations_total", "WebSockets that ended because the client broke the protocol, or sent too much at once.")
	panics := m.counter("websocket_panics_total", "Panics that were recovered in the reading of a WebSocket.")

	polls := m.counter("polling_polls_total", "Polls that were answered.")
	polled := m.counter("polling_written_bytes_total", "Bytes that answered polls, before compression.")
	posts := m.counter("polling_posts_total", "POST requests that brought something.")
	posted := m.counter("polling_read_bytes_total", "Bytes that POST requests brought.")

	return engineio.Hooks{
		Opened: func(transport string) { opened.WithLabelValues(transport).Inc() },
		Closed: func(transport string, reason engineio.Reason, _ error) {
			closed.WithLabelValues(transport, string(reason)).Inc()
		},
		Upgraded:      upgrades.Inc,
		UpgradeFailed: func(why string) { notUpgraded.WithLabelValues(why).Inc() },
		Forwarded: func(method, failure string) {
			forwarded.WithLabelValues(method, cmp.Or(failure, "ok")).Inc()
		},
		Piped:     piped.Inc,
		Moved:     moved.Inc,
		Heartbeat: heartbeats.Inc,
		Refused:   func(code int) { refused.WithLabelValues(engineError(code)).Inc() },
		Polling: polling.Hooks{
			Polled: func(_, bytes int) {
				polls.Inc()
				polled.Add(float64(bytes))
			},
			Posted: func(_, bytes int) {
				posts.Inc()
				posted.Add(float64(bytes))
			},
			Dropped: dropped.WithLabelValues(engineio.Polling).Inc,
			Slow:    slow.WithLabelValues(engineio.Polling).Inc,
		},
		WebSocket: websocket.Hooks{
			Written: func(n, bytes int) {
				writes.Inc()
				frames.Add(float64(n))
				written.Add(float64(bytes))
			},
			Blocked:  func(change int) { blocked.Add(float64(change)) },
			Slow:     slow.WithLabelValues(engineio.WebSocket).Inc,
			Dropped:  dropped.WithLabelValues(engineio.WebSocket).Inc,
			Violated: func(error) { violations.Inc() },
			Panicked: panics.Inc,
		},
	}
}

// engineError names Engine.IO's error codes, as its servers do.
func engineError(code int) string {
	names := []string{"unknown_transport", "unknown_sid", "bad_handshake_method", "bad_request", "forbidden", "unsupported_protocol"}
	if code < 0 || code >= len(names) {
		return "other"
	}
	return names[code]
}

// Sockets returns hooks that count Socket.IO's sockets and events.
func (m *Metrics) Sockets() socketio.Hooks {
	sockets := m.gauge("sockets", "Sockets that are connected to a namespace.")
	connected := m.counter("sockets_connected_total", "Sockets that were let in.")
	disconnected := m.counters("sockets_disconnected_total", "Ends of sockets that were let in.", "reason")
	refused := m.counters("sockets_refused_total", "Sockets that were not let in.", "code")
	received := m.counter("events_received_total", "Events of clients.")
	unhandled := m.counter("events_unhandled_total", "Events of clients that nothing handles.")
	refusedEvents := m.counters("events_refused_total", "Events of clients that were refused.", "code")
	failed := m.counter("events_failed_total", "Events of clients whose handling failed.")
	sent := m.counter("events_sent_total", "Events that were queued for a client: a broadcast counts once for each.")
	acks := m.counters("acks_total", "Acknowledgements to clients (out) and of clients (in).", "direction")
	ackOut, ackIn := acks.WithLabelValues("out"), acks.WithLabelValues("in")
	violations := m.counter("protocol_violations_total", "Connections that ended because the client broke Socket.IO's protocol.")
	panics := m.counter("panics_total", "Panics that were recovered in handlers.")
	codes := newBounded()

	h := socketio.Hooks{
		Connected: func(string) {
			sockets.Inc()
			connected.Inc()
		},
		Disconnected: func(_ string, reason socketio.Reason) {
			sockets.Dec()
			disconnected.WithLabelValues(string(reason)).Inc()
		},
		Refused:      func(_ string, err error) { refused.WithLabelValues(codes.of(err)).Inc() },
		Received:     func(string) { received.Inc() },
		Unhandled:    func(string, string) { unhandled.Inc() },
		EventRefused: func(_, _ string, err error) { refusedEvents.WithLabelValues(codes.of(err)).Inc() },
		Failed:       func(string, string, error) { failed.Inc() },
		Sent:         func(string) { sent.Inc() },
		AckSent:      func(string) { ackOut.Inc() },
		AckReceived:  func(string) { ackIn.Inc() },
		Violation:    func(error) { violations.Inc() },
		Panicked:     func(any) { panics.Inc() },
	}
	m.recovery(&h)
	return h
}

// bounded are the codes of errors, as a label: some come from elsewhere, so
// there is a bound.
type bounded struct {
	mu   sync.Mutex // guards seen
	seen map[string]bool
}

const maxCodes = 50

func newBounded() *bounded { return &bounded{seen: make(map[string]bool)} }

// of returns err's code.
func (b *bounded) of(err error) string {
	switch {
	case errors.Is(err, socketio.ErrNoNamespace):
		return "no_namespace"
	case errors.Is(err, socketio.ErrTooManyNamespaces):
		return "too_many_namespaces"
	}
	public, ok := errors.AsType[*socketio.Error](err)
	if !ok {
		return "internal"
	}
	return b.code(public.Code)
}

// code returns a code, or "other" where there are too many.
func (b *bounded) code(code string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.seen[code] && len(b.seen) >= maxCodes {
		return "other"
	}
	b.seen[code] = true
	return code
}
