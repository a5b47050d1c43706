package trace_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/cmd/carillon/internal/trace"
	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

var quiet = slog.New(slog.DiscardHandler)

// serve starts n nodes on one hub, whose spans go to one exporter. Their
// clients can say something to a room, and are all in it.
func serve(t *testing.T, n int, sample float64) (urls []string, spans *tracetest.InMemoryExporter) {
	t.Helper()
	t.Setenv("OTEL_TRACES_SAMPLER", "")
	spans = tracetest.NewInMemoryExporter()
	hub := memory.NewHub()
	for i := range n {
		node := fmt.Sprint("n", i)
		bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return hub.Driver(), nil },
			broker.Options{Node: node, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		tracer := trace.New(trace.Config{Sample: sample, Node: node, Logger: quiet}, sdk.WithSyncer(spans))
		cluster := adapter.NewCluster(bus, adapter.Options{Logger: quiet, Hooks: tracer.Hooks()})
		io := socketio.New(socketio.Options{Adapter: cluster.Namespace, Logger: quiet, Tracer: tracer})
		io.Of("/").Use(func(_ context.Context, s *socketio.Socket) error { // before the client knows that it is in
			s.Join("room")
			return nil
		})
		socketio.On(io.Of("/"), "say", func(ctx context.Context, s *socketio.Socket, secret string) error {
			if secret == "" {
				return socketio.Errorf("empty", "say something")
			}
			return s.To("room").Context(ctx).Emit("said", secret)
		})
		server := httptest.NewServer(io)
		urls = append(urls, server.URL)
		t.Cleanup(func() {
			io.Close()
			server.Close()
			bus.Close()
			tracer.Close(context.Background())
		})
		if i == n-1 {
			if err := cluster.AwaitNodes(t.Context(), n-1); err != nil {
				t.Fatal(err)
			}
		}
	}
	return urls, spans
}

// wantSpans waits for n spans and returns them in the order of the way.
func wantSpans(t *testing.T, e *tracetest.InMemoryExporter, n int) tracetest.SpanStubs {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if got := e.GetSpans(); len(got) >= n {
			slices.SortFunc(got, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
			return got
		} else if time.Now().After(deadline) {
			t.Fatalf("got %d spans, want %d: %+v", len(got), n, got)
		}
	}
}

// find returns the span of a name of a node.
func find(t *testing.T, spans tracetest.SpanStubs, name, node string) tracetest.SpanStub {
	t.Helper()
	for _, s := range spans {
		if s.Name == name && slices.Contains(s.Attributes, attribute.String("carillon.node", node)) {
			return s
		}
	}
	t.Fatalf("no span %q of %s", name, node)
	return tracetest.SpanStub{}
}

func wantChild(t *testing.T, parent, child tracetest.SpanStub) {
	t.Helper()
	if child.Parent.SpanID() != parent.SpanContext.SpanID() || child.SpanContext.TraceID() != parent.SpanContext.TraceID() {
		t.Errorf("%s of %s is no child of %s", child.Name, child.Attributes, parent.Name)
	}
}

func has(t *testing.T, s tracetest.SpanStub, about ...attribute.KeyValue) {
	t.Helper()
	for _, a := range about {
		if !slices.Contains(s.Attributes, a) {
			t.Errorf("%s: got %v, want %v", s.Name, s.Attributes, a)
		}
	}
}

const (
	clientTrace  = "0af7651916cd43dd8448eb211c80319c"
	clientParent = "00-" + clientTrace + "-b7ad6b7169203331-01"
)

// One trace leads from the client by the node that it is connected to to the
// sockets of the other, and holds nothing that was said.
func TestAcrossNodes(t *testing.T) {
	urls, exported := serve(t, 2, 1)
	here := socketiotest.DialWith(t, urls[0], http.Header{"Traceparent": {clientParent}, "Tracestate": {"vendor=1"}})
	there := socketiotest.Dial(t, urls[1])
	here.Join("")
	there.Join("")
	here.Send(`42["say","psst"]`)
	there.Want(`42["said","psst"]`)

	spans := wantSpans(t, exported, 5)
	receive, emit := find(t, spans, "receive say", "n0"), find(t, spans, "emit", "n0")
	publish, remote := find(t, spans, "publish", "n0"), find(t, spans, "deliver", "n1")
	local := find(t, spans, "deliver", "n0")
	if got := receive.SpanContext.TraceID().String(); got != clientTrace || receive.Parent.SpanID().String() != "b7ad6b7169203331" {
		t.Errorf("got the trace %s with the parent %s, want those of the client", got, receive.Parent.SpanID())
	}
	wantChild(t, receive, emit)
	wantChild(t, emit, publish)
	wantChild(t, emit, local)
	wantChild(t, publish, remote)
	if got := remote.SpanContext.TraceState().String(); got != "vendor=1" || !remote.Parent.IsRemote() || publish.Parent.IsRemote() {
		t.Errorf("got the state %q, want the client's; remote parents %v, %v", got, remote.Parent.IsRemote(), publish.Parent.IsRemote())
	}
	has(t, receive, attribute.String("carillon.namespace", "/"), attribute.String("carillon.event", "say"))
	has(t, emit, attribute.String("carillon.event", "said"), attribute.Int("carillon.rooms", 1))
	has(t, remote, attribute.Int("carillon.sockets", 1), attribute.String("carillon.from", "n0"))
	has(t, local, attribute.Int("carillon.sockets", 0))
	if all := fmt.Sprintf("%+v", spans); strings.Contains(all, "psst") {
		t.Errorf("the spans hold what was said: %s", all)
	}
}

// Without a traceparent an event begins a trace, each its own; an error for the
// client is told by its code.
func TestOneNode(t *testing.T) {
	urls, exported := serve(t, 1, 1)
	c := socketiotest.Dial(t, urls[0])
	c.Join("")
	c.Send(`421["say","x"]`)
	c.Want(`431[]`)
	c.Send(`422["say",""]`)
	c.Read()
	spans := wantSpans(t, exported, 5) // the second event emits nothing
	first, last := spans[0], spans[4]
	if first.Parent.IsValid() || last.Parent.IsValid() || first.SpanContext.TraceID() == last.SpanContext.TraceID() {
		t.Errorf("got %v and %v, want two traces", first.SpanContext, last.SpanContext)
	}
	has(t, last, attribute.String("error.type", "empty"))
}

// An event that is not sampled leaves no span on any node, whatever its client
// says of its trace; nor does one whose client does not record it.
func TestNotSampled(t *testing.T) {
	for name, c := range map[string]struct {
		sample float64
		flags  string
	}{
		"by the server": {0, "01"},
		"by the client": {1, "00"},
	} {
		t.Run(name, func(t *testing.T) {
			urls, exported := serve(t, 2, c.sample)
			here := socketiotest.DialWith(t, urls[0], http.Header{"Traceparent": {strings.TrimSuffix(clientParent, "01") + c.flags}})
			there := socketiotest.Dial(t, urls[1])
			here.Join("")
			there.Join("")
			here.Send(`421["say","x"]`)
			here.Want(`431[]`)
			there.Want(`42["said","x"]`)
			if got := exported.GetSpans(); len(got) != 0 {
				t.Errorf("got %v, want no span", got)
			}
		})
	}
}

// A traceparent that is none is as if it were not there.
func TestMalformedParent(t *testing.T) {
	urls, exported := serve(t, 1, 1)
	for _, parent := range []string{"x", "00-0-0-01", strings.Repeat("0", 10_000), clientParent + "-more"} {
		exported.Reset()
		c := socketiotest.DialWith(t, urls[0], http.Header{"Traceparent": {parent}, "Tracestate": {strings.Repeat("a=b,", 1000)}})
		c.Join("")
		c.Send(`421["say",""]`)
		c.Read()
		if got := wantSpans(t, exported, 1)[0]; got.Parent.IsValid() {
			t.Errorf("%.20q: got the parent %v, want none", parent, got.Parent)
		}
	}
}
