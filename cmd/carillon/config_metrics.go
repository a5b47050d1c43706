package main

// Metrics are what Prometheus reads, at /metrics.
type Metrics struct {
	// Enabled serves them. Default: true.
	Enabled bool `koanf:"enabled"`

	// Listen is a host:port for the metrics, and for /healthz and /readyz, which
	// are served on Server.Listen as well; the metrics then are not. Default:
	// empty, for no address of their own.
	Listen string `koanf:"listen"`
}

func (l *loader) checkMetrics(m Metrics) {
	l.unless(m.Listen == "" || listenable(m.Listen), "metrics.listen", "expected host:port or :port, got %q", m.Listen)
}
