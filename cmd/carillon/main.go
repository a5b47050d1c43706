// Command carillon runs one node of a Socket.IO-compatible real-time server.
// Its folder holds configuration and wiring and no rule of its own: what it
// does, an application that embeds the packages can do.
package main

import (
	"context"
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

// untilSignal ends with the first SIGINT or SIGTERM, which asks for an orderly
// end. By then signals have their usual effect again, so that a second one
// ends the process at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // ends with the process, or at its first signal
		<-signals
		signal.Stop(signals)
		cancel()
	}()
	return ctx
}
