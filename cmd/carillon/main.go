// Command carillon runs one node of a Socket.IO-compatible real-time server.
// Its folder holds configuration and wiring and no rule of its own: what it
// does, an application that embeds the packages can do.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// What the process answers to whoever started it.
const (
	exitOK     = 0
	exitFailed = 1 // the configuration was refused, the server failed, or doctor found a problem
	exitMisuse = 2 // the command line was not understood, or doctor found no configuration to look at
)

func main() {
	os.Exit(command(untilSignal(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// errImpatient is what a second signal says.
var errImpatient = errors.New("a second signal")

// untilSignal ends with the first SIGINT or SIGTERM, which asks for an orderly
// end. A second one asks to make it short (see impatience). By then signals have
// their usual effect again, so that a third one ends the process at once.
func untilSignal() context.Context {
	hurry, second := context.WithCancelCause(context.Background())
	ctx, first := context.WithCancel(context.WithValue(context.Background(), impatient{}, hurry))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // ends with the process, or at its second signal
		<-signals
		first()
		<-signals
		signal.Stop(signals)
		second(errImpatient)
	}()
	return ctx
}
