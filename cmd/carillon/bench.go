package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/carillonhq/carillon/cmd/carillon/internal/bench"
)

const benchUsage = `Usage: carillon bench SCENARIO [flags] URL...

Loads Socket.IO servers, spread over the URLs, and tells what they did: rates,
latencies and, with --pid, what CPU and memory it took. It ends with code 1 if
anything went wrong on the way: what, and how often, stands in the report.

Scenarios:
  fanout     --clients in one room, with --inflight broadcasts under way
  p2p        pairs of users on different servers: one writes to the other
  rooms      --rooms of --members each, with --inflight messages under way
  connect    --clients connect, --inflight at a time, and stay
  idle       --clients connect and say nothing; what memory do they take?
  presence   users come and go, one at a time: when do all --clients know?

By default the loop is closed: the end of one message is the beginning of the
next. With --rate it is open: messages are sent on schedule, whatever the servers
do. A latency counts from when a message was to be sent, so that one which had to
wait is late by all of that.

Flags:
  --clients N       how many connect; 1000, of p2p 400, connect 5000, idle 10000,
                    presence 200
  --inflight N      under way at a time; fanout 4, p2p one for each pair, rooms
                    100, connect and idle 64 handshakes, presence 1
  --rate N          messages, of connect handshakes, a second: an open loop
  --rooms N         rooms                                    (1000)
  --members N       clients in each room                     (10)
  --payload N       bytes of data in each message            (100)
  --ack             p2p: have messages acknowledged, and measure until then
  --duration TIME   of the measurement                       (10s)
  --warmup TIME     before it, not measured; 0s for none     (1s)
  --timeout TIME    for a connection, and until a message counts as lost (10s)
  --pid PID,...     processes of the servers, on this machine
  --json            print the report as JSON
  --quiet           tell no progress, which is told on a terminal only

What a server has to know; the defaults are what "carillon serve" does:
  --path PATH       where Socket.IO is mounted               (/socket.io/)
  --auth JSON       fields of the auth that clients connect with; "user", a name,
                    is added unless it is there
  --event-join EVENT      takes a room's name, acknowledges  (room:join)
  --event-room EVENT      takes {room, data}, goes to all in the room (room:message)
  --event-direct EVENT    takes {to, data}, goes to a user   (message)
  --event-online EVENT    tells all that {user} is online    (presence:online)

Two nodes of one machine:
  carillon bench fanout --pid 4711,4712 http://127.0.0.1:3001 http://127.0.0.1:3002
`

// benchCommand is "carillon bench".
func benchCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	const help = "carillon bench --help"
	var o bench.Options
	flags := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	flags.SetOutput(io.Discard) // what it would print, misuse says in one line
	flags.Usage = func() {}
	flags.IntVar(&o.Clients, "clients", 0, "")
	flags.IntVar(&o.InFlight, "inflight", 0, "")
	flags.Float64Var(&o.Rate, "rate", 0, "")
	flags.IntVar(&o.Rooms, "rooms", 0, "")
	flags.IntVar(&o.Members, "members", 0, "")
	flags.IntVar(&o.Payload, "payload", 0, "")
	flags.BoolVar(&o.Ack, "ack", false, "")
	flags.DurationVar(&o.Duration, "duration", 0, "")
	flags.DurationVar(&o.Warmup, "warmup", time.Second, "")
	flags.DurationVar(&o.Timeout, "timeout", 0, "")
	flags.IntSliceVar(&o.PIDs, "pid", nil, "")
	asJSON := flags.Bool("json", false, "")
	quiet := flags.Bool("quiet", false, "")
	flags.StringVar(&o.Path, "path", "/socket.io/", "")
	auth := flags.String("auth", "", "")
	flags.StringVar(&o.Events.Join, "event-join", "", "")
	flags.StringVar(&o.Events.Room, "event-room", "", "")
	flags.StringVar(&o.Events.Direct, "event-direct", "", "")
	flags.StringVar(&o.Events.Online, "event-online", "", "")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, benchUsage)
		return exitOK
	case err != nil:
		return misuse(stderr, err.Error(), help)
	case flags.NArg() == 0:
		return misuse(stderr, "bench needs a scenario", help)
	}
	o.Scenario, o.URLs = bench.Scenario(flags.Arg(0)), flags.Args()[1:]
	if !slices.Contains(bench.Scenarios, o.Scenario) {
		return misuse(stderr, fmt.Sprintf("unknown scenario %q", o.Scenario), help)
	}
	if *auth != "" {
		if err := json.Unmarshal([]byte(*auth), &o.Auth); err != nil {
			return misuse(stderr, "--auth: a JSON object expected: "+err.Error(), help)
		}
	}
	if what := wrongNumber(flags); what != "" {
		return misuse(stderr, what, help)
	}
	if o.Warmup == 0 {
		o.Warmup = -1
	}
	if err := o.Check(); err != nil {
		return misuse(stderr, err.Error(), help)
	}

	done := func() {}
	if isTerminal(stderr) && !*quiet {
		o.Progress = func(line string) { fmt.Fprintf(stderr, "\r\x1b[K%s", line) }
		done = func() { fmt.Fprint(stderr, "\r\x1b[K") }
	}
	report, err := bench.Run(ctx, o)
	done()
	if err != nil {
		fmt.Fprintf(stderr, "carillon: %v\n", err)
		return exitFailed
	}
	write := report.WriteTable
	if *asJSON {
		write = report.WriteJSON
	}
	if err := write(stdout); err != nil {
		fmt.Fprintf(stderr, "carillon: %v\n", err)
		return exitFailed
	}
	if report.Failed() {
		return exitFailed
	}
	return exitOK
}

// wrongNumber says which flag was given a number that it can't have: what is
// zero for bench.Options stands for a default.
func wrongNumber(flags *pflag.FlagSet) (what string) {
	flags.Visit(func(f *pflag.Flag) {
		text := f.Value.String()
		if what != "" || f.Name == "warmup" || f.Value.Type() == "bool" || f.Value.Type() == "intSlice" {
			return
		}
		switch {
		case text == "":
			what = fmt.Sprintf("--%s must not be empty", f.Name)
		case text == "0" || text == "0s" || strings.HasPrefix(text, "-"):
			what = fmt.Sprintf("--%s must be more than 0, not %s", f.Name, text)
		}
	})
	return what
}
