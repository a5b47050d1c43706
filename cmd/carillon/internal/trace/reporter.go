package trace

import (
	"context"
	"log/slog"
	"sync/atomic"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// reporter logs what an exporter fails at, once until it succeeds: the SDK
// would tell a handler that all of the process share.
type reporter struct {
	sdk.SpanExporter
	logger  *slog.Logger
	failing atomic.Bool
}

// ExportSpans implements sdk.SpanExporter. It does not fail.
func (r *reporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := r.SpanExporter.ExportSpans(ctx, spans)
	switch was := r.failing.Swap(err != nil); {
	case err != nil && !was:
		r.logger.Warn("traces cannot be exported; spans are lost until they can", "spans", len(spans), "error", err)
	case err != nil:
		r.logger.Debug("traces cannot be exported", "spans", len(spans), "error", err)
	case was:
		r.logger.Info("traces are exported again")
	}
	return nil
}
