package metrics_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/cmd/carillon/internal/announce"
	"github.com/carillonhq/carillon/cmd/carillon/internal/limit"
	"github.com/carillonhq/carillon/cmd/carillon/internal/metrics"
	"github.com/carillonhq/carillon/cmd/carillon/internal/webhook"
	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/socketio"
)

// busy returns the metrics of a node to which everything has happened once, so
// that every series is there.
func busy() *metrics.Metrics {
	m := metrics.New("v1", "one")
	b := m.Broker("one")
	peer := broker.Member{Name: "two"}
	b.Published(3, 100, time.Millisecond, nil)
	b.Published(3, 100, time.Millisecond, context.DeadlineExceeded)
	b.Published(3, 100, time.Millisecond, fmt.Errorf("x: %w", broker.ErrTooLarge))
	b.Published(3, 100, time.Millisecond, errors.New("x"))
	b.Received(5, 200)
	b.Dropped(broker.DropNoHandler, 10)
	b.Duplicate(peer)
	b.Gap(peer, 7)
	b.Asked(peer)
	b.Repaired(peer, 2)
	b.Repair(peer, 2, 50)
	b.Kept(1000, 100)
	b.Lag(peer, 2*time.Millisecond)
	b.Lag(broker.Member{Name: "one"}, 4*time.Millisecond)
	b.NodeDown(peer)
	b.Overflow("adapter", 10)
	b.Link(broker.Link{Role: "publisher", Attempt: 1})
	b.Link(broker.Link{Role: "subscriber", Up: true})
	b.Link(broker.Link{Attempt: 1})
	m.Adapter().Malformed(peer)
	b.Behind(peer, 12)

	a := m.Auth()
	a.Accepted()
	a.Refused("unauthorized")
	a.Asked(time.Millisecond, nil)
	a.Asked(time.Second, errors.New("x"))
	a.Open(true)
	a.KeysLoaded(nil)
	a.KeysLoaded(errors.New("x"))
	m.Limits().Refused(limit.Handshakes)
	g := m.Gate()
	g.Expired()
	g.Forbidden("join")
	g.Origin()
	g.HalfOpen()

	p := m.Presence()
	p.Counts(presence.Counts{Users: 3}, 2)
	p.State(presence.Probation)
	p.Delay(peer, time.Millisecond)
	p.Detected(peer, 9*time.Second, 4)
	p.Repair(peer)
	p.Snapshot(peer)
	p.Served(peer, 2, 60)
	p.Malformed(peer, nil)
	told := m.Announced()
	told.Told("presence:online", 6)
	told.Switched(announce.Counts)
	told.Replaced()

	e := m.Engine()
	e.Opened(engineio.Polling)
	e.Closed(engineio.WebSocket, engineio.ReasonPingTimeout, nil)
	e.Upgraded()
	e.UpgradeFailed("timeout")
	e.Heartbeat()
	e.Refused(1)
	e.Refused(99)
	e.Polling.Polled(1, 10)
	e.Polling.Posted(1, 10)
	e.Polling.Dropped()
	e.Polling.Slow()
	e.WebSocket.Written(3, 30)
	e.WebSocket.Blocked(1)
	e.WebSocket.Slow()
	e.WebSocket.Dropped()
	e.WebSocket.Violated(nil)
	e.WebSocket.Panicked()

	s := m.Sockets()
	s.Connected("/")
	s.Connected("/")
	s.Disconnected("/", socketio.ReasonClient)
	s.Refused("/", socketio.ErrNoNamespace)
	s.Received("/")
	s.Unhandled("/", "e")
	s.EventRefused("/", "e", socketio.Errorf("forbidden", "no"))
	s.Failed("/", "e", nil)
	s.Sent("/")
	s.AckSent("/")
	s.AckReceived("/")
	s.Violation(nil)
	s.Panicked(nil)
	s.Parked("/")
	s.Parked("/")
	s.Lapsed("/", socketio.LapseExpired)
	s.Recovered("/", 8)
	s.NotRecovered("/", socketio.UnrecoveredTooMuch)
	s.Evicted("/", 9)

	m.Watch(metrics.Node{
		Connections: func() (int, int) { return 4, 2 },
		Pipes:       func() (int, int) { return 6, 7 },
		Buffered:    func() int { return 17 },
		Recovery:    func() socketio.RecoveryStats { return socketio.RecoveryStats{Parked: 1, Bytes: 18} },
		Kept: func() adapter.KeepStats {
			return adapter.KeepStats{Own: 21, Records: 33, Orphans: 11, Claims: 23, Bytes: 24, Refused: 25}
		},
		Users:   func() (int, int) { return 3, 5 },
		Members: func() int { return 1 },
		State:   func() broker.State { return broker.Degraded },
		Ready:   func() bool { return false },
	})
	m.API()("/nodes", "GET", 200, time.Millisecond)
	w := m.Webhooks(func() int { return 5 })
	w.Delivered(2)
	w.Failed(nil)
	w.Dropped(webhook.DropFull, 3)
	return m
}

// Names and helps are as Prometheus wants them.
func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(busy().Gatherer())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, metrics.Prefix) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	// The linter finds what it is there for.
	if bad, _ := promlint.New(strings.NewReader("# TYPE carillon_x counter\ncarillon_x 1\n")).Lint(); len(bad) == 0 {
		t.Error("the linter finds nothing")
	}
}

func TestValues(t *testing.T) {
	w := httptest.NewRecorder()
	busy().Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	for _, line := range []string{
		`carillon_build_info{node="one",version="v1"} 1`,
		`carillon_connections{transport="polling"} 2`,
		`carillon_connections{transport="websocket"} 4`,
		`carillon_broker_messages_total{direction="in"} 5`,
		`carillon_broker_messages_total{direction="out"} 3`, // what failed is not out
		`carillon_broker_publish_failures_total{reason="timeout"} 1`,
		`carillon_broker_publish_failures_total{reason="too_large"} 1`,
		`carillon_broker_lag_seconds_count 1`,
		`carillon_broker_round_trip_seconds_count 1`,
		`carillon_broker_connection_errors_total{role="connection"} 1`,
		`carillon_broker_connection_errors_total{role="publisher"} 1`,
		`carillon_broker_connection_errors_total{role="subscriber"} 0`,
		`carillon_broker_reconnects_total{role="subscriber"} 1`,
		`carillon_broker_dropped_total{reason="no_handler"} 1`,
		`carillon_broker_gap_messages_total 7`,
		`carillon_broker_waiting_bytes 100`,
		`carillon_broker_state{state="degraded"} 1`,
		`carillon_broker_state{state="up"} 0`,
		`carillon_ready 0`,
		`carillon_nodes 2`,
		`carillon_broker_behind_messages_count 1`,
		`carillon_auth_accepted_total 1`,
		`carillon_auth_refused_total{code="unauthorized"} 1`,
		`carillon_auth_expired_total 1`,
		`carillon_auth_webhook_duration_seconds_count 2`,
		`carillon_auth_webhook_failures_total 1`,
		`carillon_auth_webhook_suspended 1`,
		`carillon_auth_jwks_loads_total{result="ok"} 1`,
		`carillon_auth_jwks_loads_total{result="error"} 1`,
		`carillon_limits_refused_total{limit="handshakes"} 1`,
		`carillon_limits_refused_total{limit="user_bytes"} 0`,
		`carillon_permission_denied_total{permission="join"} 1`,
		`carillon_origin_refused_total 1`,
		`carillon_half_open_closed_total 1`,
		`carillon_presence_users 3`,
		`carillon_presence_devices 5`,
		`carillon_presence_changes_total 2`,
		`carillon_presence_stale{reason="probation"} 1`,
		`carillon_presence_stale{reason="cut_off"} 0`,
		`carillon_presence_delay_seconds_count 1`,
		`carillon_presence_detection_seconds_bucket{le="10"} 1`,
		`carillon_presence_lost_users_total 4`,
		`carillon_presence_repairs_total 1`,
		`carillon_presence_snapshots_total 1`,
		`carillon_presence_served_bytes_total 60`,
		`carillon_presence_malformed_total 1`,
		`carillon_presence_told_total{event="presence:online"} 6`,
		`carillon_presence_switched_total{mode="counts"} 1`,
		`carillon_presence_switched_total{mode="all"} 0`,
		`carillon_presence_replaced_total 1`,
		`carillon_sockets 1`,
		`carillon_sockets_refused_total{code="no_namespace"} 1`,
		`carillon_events_refused_total{code="forbidden"} 1`,
		`carillon_requests_refused_total{code="unknown_sid"} 1`,
		`carillon_requests_refused_total{code="other"} 1`,
		`carillon_slow_clients_total{transport="polling"} 1`,
		`carillon_volatile_dropped_total{transport="websocket"} 1`,
		`carillon_websocket_frames_total 3`,
		`carillon_client_queue_bytes 17`,
		`carillon_recovery_parked_total 2`,
		`carillon_recovery_parked_sockets 1`,
		`carillon_recovery_lapsed_total{reason="expired"} 1`,
		`carillon_recovery_lapsed_total{reason="crowded"} 0`,
		`carillon_recovery_recovered_total 1`,
		`carillon_recovery_replayed_events_total 8`,
		`carillon_recovery_failed_total{reason="too_much"} 1`,
		`carillon_recovery_failed_total{reason="unknown"} 0`,
		`carillon_recovery_evicted_events_total 9`,
		`carillon_recovery_log_bytes 18`,
		`carillon_recovery_lapsed_total{reason="adopted"} 0`,
		`carillon_recovery_own_records 21`,
		`carillon_recovery_kept_records{node="up"} 22`,
		`carillon_recovery_kept_records{node="dead"} 11`,
		`carillon_recovery_claimed_records 23`,
		`carillon_recovery_kept_bytes 24`,
		`carillon_recovery_refused_records_total 25`,
		`carillon_api_request_duration_seconds_count{method="GET",route="/nodes",status="200"} 1`,
		`carillon_webhook_events_dropped_total{reason="queue_full"} 3`,
		`carillon_webhook_queue_events 5`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
	for _, part := range []string{"go_goroutines ", "process_open_fds ", "go_build_info{"} {
		if !strings.Contains(text, "\n"+part) {
			t.Errorf("%s is missing", part)
		}
	}
}

// The codes of errors that come from elsewhere are bounded.
func TestBounded(t *testing.T) {
	m := metrics.New("v1", "one")
	s := m.Sockets()
	for i := range 1000 {
		s.Refused("/", socketio.Errorf(fmt.Sprint("code", i), "no"))
	}
	s.Refused("/", errors.New("secret"))
	n, err := testutil.GatherAndCount(m.Gatherer(), "carillon_sockets_refused_total")
	if err != nil || n > 60 {
		t.Errorf("%d series, %v", n, err)
	}
}

// The dashboard shows nothing that is not there, and all that matters.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../../../../configs/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	families, err := busy().Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	exists := map[string]bool{}
	for _, f := range families {
		exists[f.GetName()] = true
	}
	shown := map[string]bool{}
	name := regexp.MustCompile(`\b(carillon|go|process)_\w+`)
	ids := map[int]bool{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("%s: another panel has its id", p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			found := name.FindAllString(target.Expr, -1)
			if len(found) == 0 {
				t.Errorf("%s: no metric in %s", p.Title, target.Expr)
			}
			for _, n := range found {
				for _, suffix := range []string{"_bucket", "_count", "_sum"} {
					if base, ok := strings.CutSuffix(n, suffix); ok && exists[base] {
						n = base
					}
				}
				shown[n] = true
				if !exists[n] {
					t.Errorf("%s: there is no metric %s", p.Title, n)
				}
			}
		}
	}
	for _, n := range []string{
		"carillon_connections", "carillon_broker_messages_total", "carillon_broker_lag_seconds",
		"carillon_broker_connection_errors_total", "carillon_broker_reconnects_total",
		"carillon_recovery_recovered_total", "carillon_recovery_failed_total", "carillon_recovery_parked_sockets",
		"carillon_recovery_lapsed_total", "carillon_recovery_evicted_events_total", "carillon_recovery_log_bytes",
	} {
		if !shown[n] {
			t.Errorf("%s is not shown, only %v", n, slices.Sorted(maps.Keys(shown)))
		}
	}
}
