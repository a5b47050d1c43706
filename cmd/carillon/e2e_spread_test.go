package main_test

import (
	"os"
	"strconv"
	"testing"
)

// TestSpreadClients has clients with the official library connect through a
// balancer without affinity. CARILLON_TEST_CONNECTS is how many, for each
// broker, number of instances and way to choose one; few if it is unset, and
// not in all combinations.
func TestSpreadClients(t *testing.T) {
	all := os.Getenv("CARILLON_TEST_CONNECTS") != ""
	clients := scale(t, "CARILLON_TEST_CONNECTS", 40)
	for _, broker := range brokers {
		for _, n := range []int{2, 3} {
			if !all && (n == 3) != (broker == "redis") {
				continue
			}
			t.Run(broker+"/"+strconv.Itoa(n), func(t *testing.T) {
				instances := startSeveral(t, n, broker, joinedBy(t, broker)...)
				for _, how := range []spreading{inTurns, atRandom, byConnection} {
					for _, mode := range modes {
						if !all && (mode != "upgrade" && how != inTurns || broker != "redis" && how != inTurns) {
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
