package main_test

import (
	"os"
	"testing"

	"github.com/carillonhq/carillon/broker/brokertest"
)

// The tests of this file run the server as its users do: two processes joined
// by a real broker, mostly a Redis, and the official JavaScript client in a Node
// process that runs a script of testdata/e2e. Each thing that a script checks is
// a subtest.

// modes are the ways in which a client may connect.
var modes = []string{"websocket", "polling", "upgrade"}

func TestClients(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			a, b := startPair(t, testRedis(t))
			runScript(t, nil, "events.mjs", mode, a.url(), b.url())
		})
	}
	t.Run("rabbitmq", func(t *testing.T) {
		a, b := startPair(t, brokertest.Env(t, "CARILLON_TEST_RABBITMQ"))
		runScript(t, nil, "events.mjs", "websocket", a.url(), b.url())
	})
}

// The transports are the same over every broker: one is enough for the others.
func TestClientsOverKafka(t *testing.T) {
	t.Parallel()
	a, b := startPairOver(t, "kafka", joinedBy(t, "kafka")...)
	runScript(t, nil, "events.mjs", "websocket", a.url(), b.url())
}

func TestInstanceRestarts(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			a, b := startPair(t, testRedis(t))
			runScript(t, asks{"stop b": b.stop, "kill b": b.kill, "start b": b.start},
				"restart.mjs", mode, a.url(), b.url())
		})
	}
}

// TestGarbage has 100 connections speak nonsense to an instance whose clients
// chat meanwhile.
func TestGarbage(t *testing.T) {
	t.Parallel()
	a, b := startPair(t, testRedis(t))
	runScript(t, asks{"worst": func(t *testing.T) { sendGarbage(t, a.addr, 100) }},
		"chat.mjs", a.url(), b.url())
}

// TestBrokerOutage kills the Redis that joins two instances, and brings back
// an empty one.
func TestBrokerOutage(t *testing.T) {
	t.Parallel()
	redis := newRedis(t)
	a, b := startPair(t, redis.url())
	runScript(t, asks{"kill broker": redis.kill, "start broker": redis.start},
		"outage.mjs", a.url(), b.url())
}

// TestBrokerHangs stops the Redis that joins two instances without ending it,
// so that connections stay open and nothing answers.
func TestBrokerHangs(t *testing.T) {
	t.Parallel()
	redis := newRedis(t)
	a, b := startPair(t, redis.url())
	runScript(t, asks{"freeze broker": redis.freeze, "thaw broker": redis.thaw}, "hang.mjs", a.url(), b.url())
}

// TestBrokerComesLate starts two instances before their Redis.
func TestBrokerComesLate(t *testing.T) {
	t.Parallel()
	redis := newRedis(t)
	redis.kill(t)
	a, b := startPair(t, redis.url())
	runScript(t, asks{"start broker": redis.start}, "late.mjs", a.url(), b.url())
}

// need skips the test where something that it needs is missing, or fails it
// if CARILLON_TEST_STRICT=1 says that nothing may be.
func need(t *testing.T, have bool, what string) {
	t.Helper()
	switch {
	case have:
	case os.Getenv("CARILLON_TEST_STRICT") == "1":
		t.Fatal(what)
	default:
		t.Skip(what)
	}
}
