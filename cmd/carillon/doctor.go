package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/carillonhq/carillon/broker"
)

const doctorUsage = `Usage: carillon doctor [flags]

Connects to the broker as serve would with the same flags, environment and
file, and looks whether all is as a cluster needs it: permissions, versions, the
settings that matter, room for the largest messages, how long a message takes
between two nodes, and which nodes of the cluster are there. It says in plain
words what is wrong and what to change.

A running cluster is not disturbed, and does not notice. What has to be tried
is tried under names that begin with that of the cluster, so that permissions
hold for them too, and is gone soon after; only a topic of Kafka that is absent
is created, as serve does, and stays.

Flags:
  --config FILE, --listen ADDR, --broker NAME, --node NAME   as for serve
  --json                                                     report in JSON
  --help                                                     print this text

Each line begins with ok, skip (not looked at, and why), warn (it works, but
could be better) or FAIL. The exit code is 0 without a FAIL, 1 with one, and 2
if the command line or the configuration was refused.

Examples:
  carillon doctor --config configs/redis.yaml
  REDIS_URL=rediss://:secret@cache.example.com carillon doctor --broker redis
  carillon doctor --config carillon.yaml --json | jq .problems
`

// doctor looks whether a server could work with its configuration.
func doctor(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	flags := newSettingFlags("doctor")
	asJSON := flags.Bool("json", false, "")
	if code, ok := flags.parse(args, func() string { return doctorUsage }, stdout, stderr); !ok {
		return code
	}
	cfg, err := loadConfig(*flags.file, environ, flags.given())
	if err != nil {
		fmt.Fprintf(stderr, "carillon: nothing was looked at, because of the configuration:\n%v\n", err)
		return exitMisuse
	}
	r := &report{Broker: cfg.Broker.Driver, Cluster: cfg.Broker.Cluster}
	if !*asJSON {
		r.out = stdout
	}
	checkup{cfg, r}.run(ctx)
	if *asJSON {
		err = r.json(stdout)
	} else {
		err = r.summary()
	}
	if err != nil || r.Problems > 0 {
		return exitFailed
	}
	return exitOK
}

// A checkup goes from what everything needs to what few miss, and ends where
// the rest has no meaning.
type checkup struct {
	cfg Config
	*report
}

func (c checkup) run(ctx context.Context) {
	c.add(listening(ctx, c.cfg.Server.Listen))
	c.add(openFiles())

	said := new(notes)
	open, err := driver(c.cfg.Broker, slog.New(said))
	if err != nil {
		c.add(broker.Finding{Check: "connection", Verdict: broker.Failed, Text: err.Error()})
		return
	}
	d, found := connect(ctx, open, c.cfg.Broker, said)
	c.add(found)
	if d == nil {
		return
	}
	defer d.Close()      // nothing depends on how it ends
	before := c.Problems // of this machine, which say nothing about the broker
	if i, ok := d.(broker.Inspector); ok {
		bounded, cancel := context.WithTimeout(ctx, patience)
		for _, f := range i.Examine(bounded, c.cfg.Broker.Cluster) {
			c.add(f)
		}
		cancel()
	}
	if c.Problems == before {
		c.add(delivery(ctx, d, c.cfg.Broker.Cluster))
	}
	if c.Problems == before {
		c.add(c.roundTrip(ctx, open))
	} else {
		c.add(broker.Finding{Check: "round trip", Verdict: broker.Unknown, Text: "not tried before what failed above is mended"})
	}
	if c.cfg.Broker.Driver != "memory" {
		c.add(c.others(ctx, d))
	}
}
