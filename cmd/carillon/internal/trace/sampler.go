package trace

import (
	"math/rand/v2"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// sampler decides, for each event of a client, whether it is traced; what
// follows from the event is then traced on all nodes, or on none. A client may
// say that its trace is not recorded. That it is, or the trace's id, does not
// make its events any likelier: else clients would choose what is exported.
type sampler struct {
	share    float64
	followed sdk.Sampler
}

func newSampler(share float64) sampler {
	return sampler{share: share, followed: sdk.ParentBased(sdk.NeverSample())}
}

// ShouldSample implements sdk.Sampler.
func (s sampler) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	if p.Kind != trace.SpanKindServer {
		return s.followed.ShouldSample(p)
	}
	parent := trace.SpanContextFromContext(p.ParentContext)
	result := sdk.SamplingResult{Decision: sdk.Drop, Tracestate: parent.TraceState()}
	if (!parent.IsValid() || parent.IsSampled()) && rand.Float64() < s.share {
		result.Decision = sdk.RecordAndSample
	}
	return result
}

// Description implements sdk.Sampler.
func (s sampler) Description() string { return "carillon" }
