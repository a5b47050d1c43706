package metrics

import (
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/auth"
	"github.com/carillonhq/carillon/cmd/carillon/internal/limit"
)

// Auth returns hooks that count whom authentication lets in.
func (m *Metrics) Auth() auth.Hooks {
	accepted := m.counter("auth_accepted_total", "Clients that were authenticated, and refreshes of their tokens.")
	refused := m.counters("auth_refused_total", "Clients that were not, and refreshes, by the code of the refusal.", "code")
	asked := m.histogram("auth_webhook_duration_seconds", "Time that the back end took to say who a client is.", lagBuckets)
	failed := m.counter("auth_webhook_failures_total", "Questions to the back end that got no usable answer.")
	suspended := m.gauge("auth_webhook_suspended", "1 while the back end is not asked because too many questions failed, else 0.")
	loads := m.counters("auth_jwks_loads_total", "Fetches of the JWKS URL.", "result")
	for _, result := range []string{"ok", "error"} {
		loads.WithLabelValues(result)
	}
	codes := newBounded() // of back ends, too
	return auth.Hooks{
		Accepted: accepted.Inc,
		Refused:  func(code string) { refused.WithLabelValues(codes.code(code)).Inc() },
		Asked: func(took time.Duration, err error) {
			asked.Observe(took.Seconds())
			if err != nil {
				failed.Inc()
			}
		},
		Open: func(open bool) { suspended.Set(truth(open)) },
		KeysLoaded: func(err error) {
			if err != nil {
				loads.WithLabelValues("error").Inc()
				return
			}
			loads.WithLabelValues("ok").Inc()
		},
	}
}

// Limits returns hooks that count what was too much.
func (m *Metrics) Limits() limit.Hooks {
	refused := m.counters("limits_refused_total", "Connections, handshakes and events that were refused, by the limit that they met.", "limit")
	for _, kind := range []limit.Kind{
		limit.Connections, limit.ConnectionsPerAddress, limit.ConnectionsPerUser, limit.Handshakes, limit.HandshakesPerAddress,
		limit.SocketMessages, limit.SocketBytes, limit.UserMessages, limit.UserBytes,
	} {
		refused.WithLabelValues(string(kind))
	}
	return limit.Hooks{Refused: func(kind limit.Kind) { refused.WithLabelValues(string(kind)).Inc() }}
}

// A Gate has what else is counted of clients that are kept out.
type Gate struct {
	Expired   func()
	Forbidden func(what string) // one of a few words of the server's own
	Origin    func()
	HalfOpen  func()
}

// Gate returns functions that count.
func (m *Metrics) Gate() Gate {
	forbidden := m.counters("permission_denied_total", "Events that their client was not permitted, by what they are for.", "permission")
	return Gate{
		Expired:   m.counter("auth_expired_total", "Connections that were ended because a token had expired.").Inc,
		Forbidden: func(what string) { forbidden.WithLabelValues(what).Inc() },
		Origin:    m.counter("origin_refused_total", "Requests of web pages of other origins that were refused.").Inc,
		HalfOpen:  m.counter("half_open_closed_total", "Connections that were closed because too many made no request.").Inc,
	}
}
