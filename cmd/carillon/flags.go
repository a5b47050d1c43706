package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/pflag"
)

const usage = `Carillon is a Socket.IO-compatible real-time server whose nodes ring together.

Usage:
  carillon serve [flags]   run a node; carillon serve --help tells how to configure it
  carillon doctor [flags]  look whether the broker is fit for these settings, and tell what to change
  carillon config VERB     check and print settings, or a schema of the file
  carillon version         tell what this binary was built from
  carillon help [COMMAND]  print this text, or that of a command, as COMMAND --help does

Begin with
  carillon serve
which needs nothing, and has a page to try it at http://localhost:3000/.
`

const versionUsage = `Usage: carillon version

Prints one line: the release or revision that this binary was built from, and
with which Go for which system.
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
	case "doctor":
		return doctor(ctx, args[1:], environ, stdout, stderr)
	case "config":
		return configure(args[1:], environ, stdout, stderr)
	case "help", "--help", "-h":
		switch {
		case len(args) == 1:
			fmt.Fprint(stdout, usage)
			return exitOK
		case len(args) == 2 && args[0] == "help" && args[1] != "help":
			return command(ctx, []string{args[1], "--help"}, environ, stdout, stderr)
		}
		return misuse(stderr, "help takes one command at most", "carillon help")
	case "version", "--version":
		switch {
		case len(args) == 1:
			fmt.Fprintln(stdout, version())
			return exitOK
		case args[1] == "--help" || args[1] == "-h":
			fmt.Fprint(stdout, versionUsage)
			return exitOK
		}
		return misuse(stderr, "version takes no arguments", "carillon help")
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

// flagOf names the flags that stand for a key, by the key.
var flagOf = map[string]string{
	"server.listen": "listen",
	"broker.driver": "broker",
	"server.node":   "node",
}

// settingFlags are the flags that choose a configuration: those of every
// command that works with one.
type settingFlags struct {
	*pflag.FlagSet
	command string
	file    *string
}

func newSettingFlags(command string) *settingFlags {
	s := &settingFlags{FlagSet: pflag.NewFlagSet(command, pflag.ContinueOnError), command: command}
	s.SetOutput(io.Discard) // what it would print, misuse says in one line
	s.Usage = func() {}
	s.file = s.String("config", "", "")
	for _, flag := range flagOf {
		s.String(flag, "", "")
	}
	return s
}

// parse reads args. Without ok there is no more to do: the help was asked for
// and given, or the mistake was told; code is then the process's exit code.
func (s *settingFlags) parse(args []string, help func() string, stdout, stderr io.Writer) (code int, ok bool) {
	see := "carillon " + s.command + " --help"
	err := s.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, help())
		return exitOK, false
	case err != nil:
		return misuse(stderr, err.Error(), see), false
	case s.NArg() > 0:
		return misuse(stderr, fmt.Sprintf("%s takes flags alone, not %q", s.command, s.Arg(0)), see), false
	case s.Changed("config") && *s.file == "":
		return misuse(stderr, "--config needs the name of a file", see), false
	}
	return exitOK, true
}

// given is what was set by flags, by key.
func (s *settingFlags) given() map[string]string {
	given := map[string]string{}
	for key, flag := range flagOf {
		if s.Changed(flag) {
			given[key] = s.Lookup(flag).Value.String()
		}
	}
	return given
}

func serve(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	flags := newSettingFlags("serve")
	if code, ok := flags.parse(args, serveUsage, stdout, stderr); !ok {
		return code
	}
	cfg, err := loadConfig(*flags.file, environ, flags.given())
	if err != nil {
		fmt.Fprintf(stderr, "carillon: not started, because of the configuration:\n%v\n", err)
		return exitFailed
	}
	if cfg.Server.Node == "" {
		cfg.Server.Node = randomNode()
	}
	level := new(slog.LevelVar)
	logger, err := newLogger(stderr, cfg.Log, level)
	if err != nil {
		fmt.Fprintf(stderr, "carillon: %v\n", err)
		return exitFailed
	}
	reloads := newReloader(cfg, func() (Config, error) {
		again, err := loadConfig(*flags.file, environ, flags.given())
		if again.Server.Node == "" {
			again.Server.Node = cfg.Server.Node
		}
		return again, err
	}, logger)
	reloads.takes(logLevel(level), "log.level")
	defer reloads.onSignal(ctx)()
	if err := run(ctx, cfg, logger, reloads, nil); err != nil {
		logger.Error("server failed", "err", err)
		return exitFailed
	}
	return exitOK
}

// serveUsage is the help of serve: where settings come from, and all of them.
func serveUsage() string {
	var b strings.Builder
	b.WriteString(`Usage: carillon serve [flags]

Runs a node: serves Socket.IO clients over HTTP and WebSocket, and joins the
other nodes of its cluster through a broker. Without a broker in reach it serves
its own clients, and joins when the broker appears. It logs to stderr.

Flags:
  --config FILE   read settings from this YAML file
  --listen ADDR   listen on this host:port                        (server.listen)
  --broker NAME   join nodes by memory, redis, rabbitmq or kafka  (broker.driver)
  --node NAME     this node's name                                (server.node)
  --help          print this text

Settings:
  They come from the defaults below, over them the file, over it the environment,
  over that the flags. server.listen is written in the file as
    server:
      listen: ":3000"
  and in the environment as CARILLON_SERVER__LISTEN, lists with commas. Whatever
  is wrong is refused at the start, all of it at once. carillon config print tells
  what is in force and why, carillon config schema has an editor complete and
  explain the file, and the files in configs/ explain every setting.

Environment:
  CARILLON_SECTION__KEY   the setting section.key
  CARILLON_…_FILE         the file that has it, for passwords and other secrets
  REDIS_URL, REDIS_PASSWORD, RABBITMQ_URL, RABBITMQ_PASSWORD, KAFKA_BROKERS
                          those of broker.redis, broker.rabbitmq and broker.kafka;
                          with _FILE too, but for the last

Signals:
  SIGINT, SIGTERM   stop in an orderly way; a second one ends the process at once
  SIGHUP            read the settings again: log.level changes, and the log says
                    which other changes need a restart

Exit codes:
  0   stopped as it was asked to
  1   the settings were refused, or the server failed
  2   the command line was not understood

Examples:
  carillon serve
  REDIS_URL=redis://localhost:6379 carillon serve --broker redis --node one
  REDIS_PASSWORD_FILE=/run/secrets/redis carillon serve --config configs/production.yaml

Every setting, and its default:
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
