package main_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/socketio"
)

// TestRecovery cuts the connection of the official client in all ways.
func TestRecovery(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			_, addr, _ := newOrders(t, recoveryOptions)
			recoveryScript(t, mode, addr, addr)
		})
	}
}

var recoveryOptions = socketio.Options{Recovery: socketio.Recovery{Enabled: true, MaxBytes: 200_000}}

// TestRecoveryElsewhere does the same where each request of the client, and so
// each of its connections, goes to the next of three servers. With
// CARILLON_NIGHTLY it does so over each broker, and with two servers, too.
func TestRecoveryElsewhere(t *testing.T) {
	t.Parallel() // it waits, mostly
	for _, link := range append([]string{"memory"}, brokers...) {
		for _, n := range []int{2, 3} {
			if os.Getenv("CARILLON_NIGHTLY") == "" && (link != "memory" || n != 3) {
				continue
			}
			for _, mode := range modes {
				t.Run(fmt.Sprintf("%s/%d/%s", link, n, mode), func(t *testing.T) {
					t.Parallel()
					_, door, first := newOrders(t, recoveryOptions, linksOver(t, link, n)...)
					recoveryScript(t, mode, door, first)
				})
			}
		}
	}
}

// recoveryScript runs the script for clients who come in by the door.
func recoveryScript(t *testing.T, mode, door, direct string) {
	w := newWire(t, door)
	runScript(t, asks{
		"reset": w.reset, "finish": w.finish, "freeze": w.freeze,
		"refuse": w.refuse, "admit": w.admit,
		"cut behind the answer": w.cutBehind(`"}`, 1),
		"cut behind an event":   w.cutBehind(`"]`, 1),
		"cut behind two events": w.cutBehind(`"]`, 2),
	}, "recovery.mjs", mode, w.url(), "http://"+direct)
}

// TestServerRecovers runs the server as it is by default.
func TestServerRecovers(t *testing.T) {
	i := startInstance(t, "node-a")
	w := newWire(t, i.addr)
	runScript(t, asks{"refuse": w.refuse, "admit": w.admit}, "recovery_server.mjs", w.url(), i.url())
	at := scrape(t, i.url())
	if at["carillon_recovery_recovered_total"] < 2 || at["carillon_recovery_replayed_events_total"] < 2 ||
		at["carillon_recovery_parked_total"] < at["carillon_recovery_recovered_total"] || at["carillon_recovery_log_bytes"] == 0 {
		t.Errorf("recovered %v of %v, with %v events, of %v bytes", at["carillon_recovery_recovered_total"], at["carillon_recovery_parked_total"],
			at["carillon_recovery_replayed_events_total"], at["carillon_recovery_log_bytes"])
	}
}

// wait waits, and reports false if ctx ended before.
func wait(ctx context.Context, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
	return errors.Is(ctx.Err(), context.DeadlineExceeded)
}
