package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/cmd/carillon/internal/webhook"
	"github.com/carillonhq/carillon/transport/socketio"
)

// A Node is what is asked about the node at each scrape. Its functions must not
// block.
type Node struct {
	Connections func() (websocket, polling int)
	Pipes       func() (connections, sessions int)
	Buffered    func() int // bytes that wait for clients
	Recovery    func() socketio.RecoveryStats
	Kept        func() adapter.KeepStats
	Users       func() (users, devices int) // that are online, on all nodes
	Members     func() int                  // other nodes that are up
	State       func() broker.State
	Ready       func() bool
}

// Watch registers what is asked at each scrape.
func (m *Metrics) Watch(n Node) {
	const connections = "Connections of clients to this node at present."
	m.LabeledGauge("connections", connections, "transport", "websocket", func() float64 {
		websocket, _ := n.Connections()
		return float64(websocket)
	})
	m.LabeledGauge("connections", connections, "transport", "polling", func() float64 {
		_, polling := n.Connections()
		return float64(polling)
	})
	const pipes = "Clients at present whose connection is at one node and whose session at another, by what of them is here."
	m.LabeledGauge("pipes", pipes, "end", "connection", func() float64 {
		connections, _ := n.Pipes()
		return float64(connections)
	})
	m.LabeledGauge("pipes", pipes, "end", "session", func() float64 {
		_, sessions := n.Pipes()
		return float64(sessions)
	})
	m.Gauge("client_queue_bytes", "Bytes that wait for clients of this node to take them.", func() float64 { return float64(n.Buffered()) })
	m.Gauge("recovery_parked_sockets", "Sockets that are kept at present for their client to come back.",
		func() float64 { return float64(n.Recovery().Parked) })
	m.Gauge("recovery_log_bytes", "Memory that the events take, about, that are kept for clients who come back.",
		func() float64 { return float64(n.Recovery().Bytes) })
	m.kept(n.Kept)
	m.Gauge("presence_users", "Users that are online, on all nodes, as this node sees it.", func() float64 {
		users, _ := n.Users()
		return float64(users)
	})
	m.Gauge("presence_devices", "Devices of users, on all nodes, as this node sees it; those in their grace included.", func() float64 {
		_, devices := n.Users()
		return float64(devices)
	})
	m.Gauge("nodes", "Nodes of the cluster that are up, as this node sees it, itself included.", func() float64 { return float64(n.Members() + 1) })
	for _, s := range []broker.State{broker.Connecting, broker.Up, broker.Down, broker.Degraded} {
		m.LabeledGauge("broker_state", "1 for the state of the connection to the broker, 0 for the others.", "state", s.String(),
			func() float64 { return truth(n.State() == s) })
	}
	m.Gauge("ready", "1 if /readyz says that the node is ready, else 0.", func() float64 { return truth(n.Ready()) })
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// API returns a hook that counts the requests to the HTTP API.
func (m *Metrics) API() (served func(route, method string, status int, took time.Duration)) {
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: Prefix + "api_request_duration_seconds",
		Help: "Time that requests to the HTTP API took.",
	}, []string{"route", "method", "status"})
	m.registry.MustRegister(took)
	return func(route, method string, status int, d time.Duration) {
		took.WithLabelValues(route, method, strconv.Itoa(status)).Observe(d.Seconds())
	}
}

// Webhooks returns hooks that count what is told to a back end, and registers
// how many events wait.
func (m *Metrics) Webhooks(queued func() int) webhook.Hooks {
	delivered := m.counter("webhook_events_delivered_total", "Events that the back end took.")
	failed := m.counter("webhook_failures_total", "Requests to the back end that failed.")
	dropped := m.counters("webhook_events_dropped_total", "Events that the back end will not hear of.", "reason")
	for _, why := range []webhook.DropReason{webhook.DropFull, webhook.DropRetries, webhook.DropClosed} {
		dropped.WithLabelValues(string(why))
	}
	m.Gauge("webhook_queue_events", "Events that wait for the back end.", func() float64 { return float64(queued()) })
	return webhook.Hooks{
		Delivered: func(events int) { delivered.Add(float64(events)) },
		Failed:    func(error) { failed.Inc() },
		Dropped:   func(why webhook.DropReason, n int) { dropped.WithLabelValues(string(why)).Add(float64(n)) },
	}
}
