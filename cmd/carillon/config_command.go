package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const configUsage = `Usage: carillon config check|print|schema [flags]

  check    refuse what serve would refuse: all that is wrong, with the place
           where it was written; exit code 1 then
  print    print every setting that is in force, and where it was set: by default,
           in the file, in the environment, by a flag; secrets are masked
  schema   print a JSON Schema of the file, by which editors complete and check

Flags of check and print:
  --config FILE, --listen ADDR, --broker NAME, --node NAME   as for serve
  --help                                                     print this text
Flags of print:
  --changed   leave out what is as by default
  --json      print JSON instead of YAML

With the line
  # yaml-language-server: $schema=carillon.schema.json
at the beginning of a file, many editors use what schema printed into that file.

Examples:
  carillon config check --config /etc/carillon/carillon.yaml
  REDIS_URL=redis://cache carillon config print --changed --config configs/redis.yaml
  carillon config schema > carillon.schema.json
`

// configure looks at a configuration, and starts nothing.
func configure(args, environ []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, configUsage)
		return exitMisuse
	}
	verb := args[0]
	switch verb {
	case "--help", "-h", "help":
		fmt.Fprint(stdout, configUsage)
		return exitOK
	case "check", "print", "schema":
	default:
		return misuse(stderr, fmt.Sprintf("config has check, print and schema, not %q", verb), "carillon config --help")
	}
	flags := newSettingFlags("config " + verb)
	changed, asJSON := new(bool), new(bool)
	if verb == "print" {
		changed, asJSON = flags.Bool("changed", false, ""), flags.Bool("json", false, "")
	}
	if code, ok := flags.parse(args[1:], func() string { return configUsage }, stdout, stderr); !ok {
		return code
	}
	if verb == "schema" {
		return told(stderr, indented(stdout, jsonSchema()))
	}

	l := load(*flags.file, environ, flags.given())
	cfg, err := l.config()
	if err == nil && verb == "check" {
		_, err = driver(cfg.Broker, slog.New(slog.DiscardHandler)) // the files that it names
	}
	if err != nil {
		fmt.Fprintf(stderr, "carillon: the configuration is refused:\n%v\n", err)
		return exitFailed
	}
	all := l.settings(cfg)
	if verb == "check" {
		return told(stderr, summarize(stdout, all))
	}
	if *changed {
		kept := all[:0]
		for _, e := range all {
			if e.changed() {
				kept = append(kept, e)
			}
		}
		all = kept
	}
	if *asJSON {
		return told(stderr, printJSON(stdout, all))
	}
	return told(stderr, printYAML(stdout, all))
}

// summarize says in a line that all is right, and what was looked at.
func summarize(w io.Writer, all []effective) error {
	var changed []string
	for _, e := range all {
		if e.changed() {
			changed = append(changed, e.key)
		}
	}
	text := "The configuration is fine: all as by default."
	if n := len(changed); n > 0 {
		text = fmt.Sprintf("The configuration is fine. It sets %s beside the defaults: %s.", counted(n, "key"), strings.Join(changed, ", "))
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// told is the exit code of what only had to be written.
func told(stderr io.Writer, err error) int {
	if err != nil {
		fmt.Fprintf(stderr, "carillon: %v\n", err)
		return exitFailed
	}
	return exitOK
}
