package main

import "time"

// Drain is how a node makes room for others after SIGTERM.
type Drain struct {
	// Delay is how long it goes on as before, but says that it is not ready,
	// so that balancers send nobody here any more: their interval of checks, at
	// least. Default: 0s.
	Delay time.Duration `koanf:"delay"`

	// Period is over how long clients are told to move, in jittered batches, so
	// that the other nodes meet no crowd. It is 20ms for each client if that is
	// less. Default: 5s.
	Period time.Duration `koanf:"period"`
}

func (l *loader) checkDrain(d Drain) {
	l.lasting("server.drain.delay", d.Delay, 0)
	l.lasting("server.drain.period", d.Period, 0)
}
