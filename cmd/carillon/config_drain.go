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

	// Rate bounds how many clients a second are told to move, by all nodes
	// together that are about to stop. 0: any number. Default: 1000.
	Rate int `koanf:"rate"`

	// Linger is how long, from the end of its connection, what a client misses
	// is still kept here for another node to fetch, when it is back there; that
	// takes most of them a second. What is left then is handed to the other nodes,
	// which keep it for as long as recovery.window still lasts. It needs recovery,
	// and another node. Default: 5s.
	Linger time.Duration `koanf:"linger"`

	// Timeout bounds all of that; then, as at a second signal, those who are
	// left are closed at once, and what is kept for them is handed over within
	// server.shutdown_timeout. Default: 30s.
	Timeout time.Duration `koanf:"timeout"`
}

func defaultDrain() Drain {
	return Drain{Period: 5 * time.Second, Rate: 1000, Linger: 5 * time.Second, Timeout: 30 * time.Second}
}

func (l *loader) checkDrain(d Drain) {
	l.lasting("server.drain.delay", d.Delay, 0)
	l.lasting("server.drain.period", d.Period, 0)
	l.unless(d.Rate >= 0, "server.drain.rate", "expected 0 or more, got %d", d.Rate)
	l.lasting("server.drain.linger", d.Linger, 0)
	l.lasting("server.drain.timeout", d.Timeout, 0)
}
