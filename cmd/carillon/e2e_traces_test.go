package main_test

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A traceCollector is a small OTLP/HTTP receiver.
type traceCollector struct {
	*httptest.Server
	mu      sync.Mutex
	spans   map[string]*tracev1.Span // by service.instance.id and name
	service string
}

func newTraceCollector(t *testing.T) *traceCollector {
	t.Helper()
	c := &traceCollector{spans: map[string]*tracev1.Span{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
			t.Errorf("the collector got %s %s, %d bytes, %v", r.Method, r.URL, len(body), err)
			http.Error(w, "malformed", http.StatusBadRequest)
			return
		}
		c.take(&request)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *traceCollector) take(request *collector.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range request.GetResourceSpans() {
		about := map[string]string{}
		for _, a := range r.GetResource().GetAttributes() {
			about[a.GetKey()] = a.GetValue().GetStringValue()
		}
		c.service = about["service.name"]
		for _, s := range r.GetScopeSpans() {
			for _, span := range s.GetSpans() {
				c.spans[about["service.instance.id"]+" "+span.GetName()] = span
			}
		}
	}
}

// span waits for one.
func (c *traceCollector) span(t *testing.T, name string) *tracev1.Span {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c.mu.Lock()
		s := c.spans[name]
		c.mu.Unlock()
		if s != nil {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("no span %q", name)
		}
	}
}

// The collector sees how a message of a client of one instance comes to those
// of another.
func TestTraces(t *testing.T) {
	c := newTraceCollector(t)
	environ := []string{
		"REDIS_URL=" + testRedis(t), "CARILLON_TRACES__ENABLED=true", "CARILLON_TRACES__ENDPOINT=" + c.URL,
		"OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_SERVICE_NAME=chat",
	}
	a, b := startPairOver(t, "redis", environ...)
	here := socketiotest.DialWith(t, a.url(), http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}})
	there := socketiotest.Dial(t, b.url())
	for user, client := range map[string]*socketiotest.Client{"ann": here, "bob": there} {
		client.Send(`40{"user":"` + user + `"}`)
		readUntil(t, client, `42["session",`)
	}
	// The instances have met once a message is delivered.
	for deadline := time.Now().Add(30 * time.Second); ; {
		here.Send(`421["message",{"to":"bob","data":"psst"}]`)
		if strings.Contains(readUntil(t, here, `431[`), `"devices":1`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the message is not delivered")
		}
	}
	way := []string{"node-a receive message", "node-a emit", "node-a publish", "node-b deliver"}
	c.span(t, way[3])
	here.Leave()
	there.Leave()
	a.stop(t) // which flushes what is left
	b.stop(t)
	parent := "b7ad6b7169203331"
	for _, name := range way {
		s := c.span(t, name)
		if got := hex.EncodeToString(s.GetTraceId()); got != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("%s: got the trace %s, want the client's", name, got)
		}
		if got := hex.EncodeToString(s.GetParentSpanId()); got != parent {
			t.Errorf("%s: got the parent %s, want %s", name, got, parent)
		}
		parent = hex.EncodeToString(s.GetSpanId())
		if strings.Contains(s.String(), "psst") {
			t.Errorf("%s holds what was said: %v", name, s)
		}
	}
	if c.service != "chat" {
		t.Errorf("got the service %q, want that of OTEL_SERVICE_NAME", c.service)
	}
}

// readUntil reads over what comes before a frame that begins so.
func readUntil(t *testing.T, c *socketiotest.Client, prefix string) string {
	t.Helper()
	for {
		if frame := c.Read(); strings.HasPrefix(frame, prefix) {
			return frame
		}
	}
}

// A collector that is not there, or does not answer, keeps nobody from serving
// nor, beyond server.shutdown_timeout, from stopping; what it misses is logged.
func TestTracesWithoutCollector(t *testing.T) {
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hanging.Close()
	defer close(release)
	for name, endpoint := range map[string]string{"away": "http://127.0.0.1:1", "hanging": hanging.URL} {
		t.Run(name, func(t *testing.T) {
			i := startInstance(t, "node-a", "CARILLON_TRACES__ENABLED=true", "CARILLON_TRACES__ENDPOINT="+endpoint,
				"OTEL_BSP_SCHEDULE_DELAY=50", "CARILLON_SERVER__SHUTDOWN_TIMEOUT=2s")
			c := socketiotest.Dial(t, i.url())
			c.Send(`40{"user":"ann"}`)
			readUntil(t, c, `42["session",`)
			c.Send(`421["message",{"to":"ann","data":1}]`)
			readUntil(t, c, `431[`)
			c.Leave()
			start := time.Now()
			i.stop(t)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("stopping took %v", took)
			}
			i.mu.Lock()
			defer i.mu.Unlock()
			if !strings.Contains(i.log.String(), "could not be exported") && !strings.Contains(i.log.String(), "cannot be exported") {
				t.Errorf("got the log %s, want it to tell that traces are lost", i.log.String())
			}
		})
	}
}
