package main_test

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// TestSpreadClients has clients with the official library connect through a
// balancer without affinity. CARILLON_TEST_CONNECTS is how many, for each
// broker, number of instances and way to choose one; few if it is unset, and
// not in all combinations.
func TestSpreadClients(t *testing.T) {
	t.Parallel() // it waits, mostly
	all := os.Getenv("CARILLON_TEST_CONNECTS") != ""
	clients := scale(t, "CARILLON_TEST_CONNECTS", 24)
	for _, broker := range brokers {
		for _, n := range []int{2, 3} {
			if !all && (n == 3) != (broker == "redis") {
				continue
			}
			t.Run(broker+"/"+strconv.Itoa(n), func(t *testing.T) {
				t.Parallel()
				instances := startSeveral(t, n, broker, joinedBy(t, broker)...)
				for _, how := range []spreading{inTurns, atRandom, byConnection} {
					for _, mode := range modes {
						if !all && (mode == "websocket" || mode == "polling" && how != inTurns || broker != "redis" && (how != inTurns || mode != "upgrade")) {
							continue
						}
						t.Run(string(how)+"/"+mode, func(t *testing.T) {
							s := newSpread(t, how, instances...)
							runScript(t, nil, "spread.mjs", mode, s.url(), strconv.Itoa(clients), "20")
							sent, lost := s.counts()
							t.Logf("requests to the instances: %v", sent)
							if lost > 0 {
								t.Errorf("%d requests reached no instance", lost)
							}
						})
					}
				}
			})
		}
	}
}

// TestSpreadCrash kills one of three instances under clients who have it for
// the owner of their session, for the edge of its WebSocket, or have a poll
// waiting there. It comes back later. Those of polling alone are killed under
// only with CARILLON_NIGHTLY.
func TestSpreadCrash(t *testing.T) {
	t.Parallel() // it waits, mostly
	for _, mode := range []string{"polling", "upgrade"} {
		if mode != "upgrade" && os.Getenv("CARILLON_NIGHTLY") == "" {
			continue
		}
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			instances := startSeveral(t, 3, "redis", joinedBy(t, "redis")...)
			s := newSpread(t, inTurns, instances...)
			crash := func(t *testing.T) {
				sleep(t, time.Second)
				instances[1].kill(t)
				sleep(t, 3*time.Second)
				instances[1].start(t)
			}
			runScript(t, asks{"kill": crash}, "rolling.mjs", "kill", mode, s.url(), "12")
		})
	}
}
