package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

const usage = `Carillon is a Socket.IO-compatible real-time server whose nodes ring together.

Usage:
  carillon serve [flags]   run a node; carillon serve --help tells how to configure it
  carillon bench [flags]   load Socket.IO servers and measure them; carillon bench --help
  carillon version         tell what this binary was built from
  carillon help            print this text
`

// command runs the command line args, reports on stdout and stderr, and
// returns the process's exit code. A server ends with ctx.
func command(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitMisuse
	}
	switch args[0] {
	case "serve":
		return serve(ctx, args[1:], environ, stdout, stderr)
	case "bench":
		return benchCommand(ctx, args[1:], stdout, stderr)
	case "help", "--help", "-h":
		fmt.Fprint(stdout, usage)
		return exitOK
	case "version", "--version":
		if len(args) > 1 {
			return misuse(stderr, "version takes no arguments", "carillon help")
		}
		fmt.Fprintln(stdout, version())
		return exitOK
	}
	if strings.HasPrefix(args[0], "-") {
		return misuse(stderr, "unknown flag: "+args[0]+" (flags follow the command)", "carillon help")
	}
	return misuse(stderr, fmt.Sprintf("unknown command %q", args[0]), "carillon help")
}

func misuse(stderr io.Writer, what, help string) int {
	fmt.Fprintf(stderr, "carillon: %s; see %q\n", what, help)
	return exitMisuse
}

// flagOf names the flags of serve, by the key that each stands for.
var flagOf = map[string]string{
	"server.listen": "listen",
	"broker.driver": "broker",
	"server.node":   "node",
}

func serve(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	flags.SetOutput(io.Discard) // what it would print, misuse says in one line
	flags.Usage = func() {}
	file := flags.String("config", "", "")
	for _, flag := range flagOf {
		flags.String(flag, "", "")
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, serveUsage())
		return exitOK
	case err != nil:
		return misuse(stderr, err.Error(), "carillon serve --help")
	case flags.NArg() > 0:
		return misuse(stderr, fmt.Sprintf("serve takes flags alone, not %q", flags.Arg(0)), "carillon serve --help")
	case flags.Changed("config") && *file == "":
		return misuse(stderr, "--config needs the name of a file", "carillon serve --help")
	}
	given := map[string]string{}
	for key, flag := range flagOf {
		if flags.Changed(flag) {
			given[key] = flags.Lookup(flag).Value.String()
		}
	}

	cfg, err := loadConfig(*file, environ, given)
	if err != nil {
		fmt.Fprintf(stderr, "carillon: not started, because of the configuration:\n%v\n", err)
		return exitFailed
	}
	if cfg.Server.Node == "" {
		cfg.Server.Node = randomNode()
	}
	logger, err := newLogger(stderr, cfg.Log)
	if err != nil {
		fmt.Fprintf(stderr, "carillon: %v\n", err)
		return exitFailed
	}
	tuneMemory(environ)
	if err := run(ctx, cfg, logger, nil); err != nil {
		logger.Error("server failed", "err", err)
		return exitFailed
	}
	return exitOK
}

// serveUsage is the help of serve: where settings come from, and all of them.
func serveUsage() string {
	var b strings.Builder
	b.WriteString(`Usage: carillon serve [flags]

Runs a node until SIGINT or SIGTERM asks it to stop; a second one ends it at once.

Flags:
  --config FILE   read settings from this YAML file
  --listen ADDR   listen on this host:port                        (server.listen)
  --broker NAME   join nodes by memory, redis, rabbitmq or kafka  (broker.driver)
  --node NAME     this node's name                                (server.node)
  --help          print this text

Settings come from the defaults below, over them the file, over it the
environment, over that the flags. server.listen is written in the file as
  server:
    listen: ":3000"
and in the environment as CARILLON_SERVER__LISTEN, lists with commas. REDIS_URL,
REDIS_PASSWORD, RABBITMQ_URL, RABBITMQ_PASSWORD and KAFKA_BROKERS set those of
broker.redis, broker.rabbitmq and broker.kafka too. The files in configs/ explain
every setting. Whatever is wrong is refused at the start.

`)
	fields := newSchema().fields
	rows := (len(fields) + 1) / 2
	for i := range rows {
		left := fmt.Sprintf("  %-23s %v", fields[i].key, fields[i].initialText())
		if i+rows < len(fields) {
			right := fields[i+rows]
			left = fmt.Sprintf("%-37s %-27s %v", left, right.key, right.initialText())
		}
		b.WriteString(strings.TrimRight(left, " ") + "\n")
	}
	return b.String()
}
