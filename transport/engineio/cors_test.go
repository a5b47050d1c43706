package engineio_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/transport/engineio"
)

func TestCORS(t *testing.T) {
	const origin = "https://app.example"
	r := newRig(t, engineio.Options{CORS: &engineio.CORS{
		Origins: []string{origin}, Headers: []string{"X-Token"}, Expose: []string{"X-Seen"}, Credentials: true, MaxAge: time.Minute,
	}}, false)

	preflight := []string{"Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-token"}
	a := r.must("OPTIONS", "&transport=polling", "", preflight...)
	r.want(a, 204, "")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "x-token",
		"Access-Control-Allow-Credentials": "true", "Access-Control-Max-Age": "60",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("preflight: %s %q, want %q", name, got, want)
		}
	}
	a = r.must("OPTIONS", "&transport=polling", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
	r.want(a, 204, "")
	if got := a.header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("preflight of another origin is allowed %q", got)
	}
	r.want(r.must("OPTIONS", "&transport=polling", "", "Origin", origin), 204, "")

	allowed := func(what string, h http.Header) {
		t.Helper()
		if h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Credentials") != "true" ||
			h.Get("Access-Control-Expose-Headers") != "X-Seen" {
			t.Errorf("%s: %v", what, h)
		}
	}
	a = r.must("GET", "&transport=polling", "", "Origin", origin)
	allowed("handshake", a.header)
	q := "&transport=polling&sid=" + r.sid(a.body)
	allowed("POST", r.must("POST", q, "4a", "Origin", origin).header)
	allowed("GET", r.must("GET", q, "", "Origin", origin).header)
	allowed("refusal", r.must("GET", "&transport=abc", "", "Origin", origin).header)
	allowed("overlap or bad packet", r.must("POST", q, "abc", "Origin", origin).header)

	c, res, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(r.url, "http")+"&transport=websocket",
		&websocket.DialOptions{HTTPHeader: http.Header{"Origin": {origin}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	allowed("101", res.Header)

	_, res, err = websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(r.url, "http")+"&transport=websocket&sid=zzz",
		&websocket.DialOptions{HTTPHeader: http.Header{"Origin": {origin}}})
	if err == nil {
		t.Fatal("an unknown sid was upgraded")
	}
	allowed("refused upgrade", res.Header)
	if b, _ := io.ReadAll(res.Body); string(b) != "Session ID unknown" {
		t.Errorf("refused upgrade: %q", b)
	}
}

func TestCORSDefaults(t *testing.T) {
	r := newRig(t, engineio.Options{CORS: &engineio.CORS{}}, false)
	a := r.must("GET", "&transport=polling", "", "Origin", "https://any.example")
	if got := a.header.Get("Access-Control-Allow-Origin"); got != "*" {
		t.Errorf("Access-Control-Allow-Origin %q", got)
	}
	r = newRig(t, engineio.Options{}, false)
	a = r.must("GET", "&transport=polling", "", "Origin", "https://any.example")
	if got := a.header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("without CORS: Access-Control-Allow-Origin %q", got)
	}
}
