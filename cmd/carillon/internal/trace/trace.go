// Package trace exports what a server does with the events of its clients as
// OpenTelemetry traces. A trace begins with an event, or goes on from the
// traceparent with which the client connected, and has these spans, each the
// parent of the next:
//
//	receive <event>  a client's event, while it is handled
//	emit             an event that the handler emits to sockets
//	publish          its way to the broker
//	deliver          its way to the sockets of each other node
//
// On the node that emits, deliver is beside publish. Spans tell of numbers and
// names, never of what was said.
package trace

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Config says what is exported, and where to. What is left empty is as the
// variables OTEL_… of the environment have it, or else as OpenTelemetry does.
type Config struct {
	// Endpoint is the URL of a collector that takes OTLP over HTTP. Without a
	// path it is that of OTLP, /v1/traces. Default: OTEL_EXPORTER_OTLP_ENDPOINT
	// and the like, or else http://localhost:4318/v1/traces.
	Endpoint string

	// Sample is the share of the events that are traced, from 0 to 1, unless
	// OTEL_TRACES_SAMPLER says something else.
	Sample float64

	Service string // Default: OTEL_SERVICE_NAME, or else "carillon".
	Version string // of the service
	Node    string // the name of this node
	Logger  *slog.Logger
}

// A Tracer follows events: it is a socketio.Tracer, and has adapter.Hooks.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	node     attribute.KeyValue
	logger   *slog.Logger
	closed   sync.Once
}

// Open returns a Tracer that exports in the background, until Close. It does
// not wait for the collector, which may come later.
func Open(ctx context.Context, cfg Config) (*Tracer, error) {
	var opts []otlptracehttp.Option
	if cfg.Endpoint != "" {
		endpoint, err := url.Parse(cfg.Endpoint)
		if err != nil {
			return nil, fmt.Errorf("traces: endpoint: %w", err)
		}
		if endpoint.Path == "" || endpoint.Path == "/" {
			endpoint.Path = "/v1/traces"
		}
		opts = append(opts, otlptracehttp.WithEndpointURL(endpoint.String()))
	}
	exporter, err := otlptracehttp.New(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	service := cfg.Service
	if service == "" && os.Getenv("OTEL_SERVICE_NAME") == "" {
		service = "carillon"
	}
	about := []attribute.KeyValue{
		attribute.String("service.version", cfg.Version),
		attribute.String("service.instance.id", cfg.Node),
	}
	var named []attribute.KeyValue
	if service != "" {
		named = append(named, attribute.String("service.name", service))
	}
	// Of two values the later counts.
	from, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(about...),
		resource.WithFromEnv(), resource.WithAttributes(named...))
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	return New(cfg, sdk.WithBatcher(&reporter{SpanExporter: exporter, logger: cfg.Logger}), sdk.WithResource(from)), nil
}

// New is Open with an exporter among opts.
func New(cfg Config, opts ...sdk.TracerProviderOption) *Tracer {
	if os.Getenv("OTEL_TRACES_SAMPLER") == "" {
		opts = append(opts, sdk.WithSampler(newSampler(cfg.Sample)))
	}
	provider := sdk.NewTracerProvider(opts...)
	return &Tracer{
		provider: provider,
		tracer:   provider.Tracer("github.com/carillonhq/carillon", trace.WithInstrumentationVersion(cfg.Version)),
		node:     attribute.String("carillon.node", cfg.Node),
		logger:   cfg.Logger,
	}
}

// Close exports what is left, until ctx is done; later spans are dropped. It
// may be called again, which has no effect.
func (t *Tracer) Close(ctx context.Context) {
	t.closed.Do(func() {
		if err := t.provider.Shutdown(ctx); err != nil {
			t.logger.Warn("the last traces could not be exported", "error", err)
		}
	})
}
