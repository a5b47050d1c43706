package main

import (
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/transport/socketio"
)

// Unless they are turned on, nothing runs for traces, and nothing is in the way
// of an event.
func TestTracesOff(t *testing.T) {
	off := defaultConfig().Traces
	on := off
	on.Enabled = true
	for name, c := range map[string]struct {
		cfg      Traces
		disabled string
	}{
		"by default":           {off, ""},
		"by OTEL_SDK_DISABLED": {on, "true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_SDK_DISABLED", c.disabled)
			traces, err := openTraces(t.Context(), c.cfg, "n", slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			var opts socketio.Options
			traces.follow(&opts)
			if hooks := traces.hooks(adapter.Hooks{}); opts.Tracer != nil || hooks.Publish != nil || hooks.Deliver != nil {
				t.Errorf("got %v, %v, want nothing to follow events", opts.Tracer, hooks)
			}
			if n := telemetryGoroutines(); n != 0 {
				t.Errorf("got %d goroutines, want none", n)
			}
			traces.abandon()
		})
	}
	// The test above would see one.
	traces, err := openTraces(t.Context(), on, "n", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	// One tells what it is once it has begun to run, and is seen for a moment
	// after its work.
	await := func(want bool, what string) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); telemetryGoroutines() > 0 != want; runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	await(true, "got no goroutine, want one that exports")
	traces.abandon()
	await(false, "got a goroutine after close")
}

func telemetryGoroutines() int {
	stacks := make([]byte, 1<<20)
	size := runtime.Stack(stacks, true)
	for size == len(stacks) { // there may be more
		stacks = make([]byte, 2*size)
		size = runtime.Stack(stacks, true)
	}
	stacks = stacks[:size]
	n := 0
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "go.opentelemetry.io/otel/sdk") {
			n++
		}
	}
	return n
}
