package main

import (
	"net/url"
	"strings"
)

// Traces are what is exported, by OpenTelemetry, of the events' way from client
// to client. The variables OTEL_… that are common to its programs count too,
// such as OTEL_EXPORTER_OTLP_HEADERS.
type Traces struct {
	// Enabled turns them on, unless OTEL_SDK_DISABLED is true. Default: false.
	Enabled bool `koanf:"enabled"`

	// Endpoint is the URL of a collector that takes OTLP over HTTP; without a
	// path, /v1/traces. Default: empty, for that of OTEL_EXPORTER_OTLP_ENDPOINT,
	// or else http://localhost:4318.
	Endpoint string `koanf:"endpoint"`

	// Sample is the share of the clients' events that are traced, from 0 to 1,
	// unless OTEL_TRACES_SAMPLER says something else. Default: 1.
	Sample float64 `koanf:"sample"`

	// ServiceName is what the collector knows all nodes as. Default: empty, for
	// OTEL_SERVICE_NAME, or else "carillon".
	ServiceName string `koanf:"service_name"`
}

func defaultTraces() Traces { return Traces{Sample: 1} }

func (l *loader) checkTraces(t Traces) {
	l.unless(t.Endpoint == "" || collectorURL(t.Endpoint), "traces.endpoint",
		"expected http:// or https://host[:port][/path], without a password (what was given may hold one and is not shown)")
	l.unless(t.Sample >= 0 && t.Sample <= 1, "traces.sample", "expected 0 to 1, got %v", t.Sample)
}

func collectorURL(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil &&
		u.RawQuery == "" && u.Fragment == "" && !strings.ContainsAny(raw, " \t\r\n")
}
