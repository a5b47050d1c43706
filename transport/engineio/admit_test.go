package engineio_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/engineio"
)

// Whatever becomes of a request that was admitted, its release is called once.
func TestAdmit(t *testing.T) {
	var held, released atomic.Int32
	r := newRig(t, engineio.Options{
		Admit: func(r *http.Request) (func(), error) {
			switch r.URL.Query().Get("as") {
			case "many":
				return nil, &engineio.Refusal{Status: http.StatusTooManyRequests, Message: "too many", RetryAfter: 1500 * time.Millisecond}
			case "full":
				return nil, &engineio.Refusal{Status: http.StatusServiceUnavailable}
			case "plain":
				return nil, errTest
			case "free":
				return nil, nil
			}
			held.Add(1)
			return func() { held.Add(-1); released.Add(1) }, nil
		},
		NewID: func(r *http.Request) (string, error) { return r.URL.Query().Get("id"), nil },
	}, false)

	for _, c := range []struct {
		as, body, retry string
		status, upgrade int
	}{
		{"many", `{"code":4,"message":"too many"}`, "2", 429, 429},
		{"full", `{"code":4,"message":"Forbidden"}`, "", 503, 503},
		{"plain", `{"code":4,"message":"test"}`, "", 403, 400},
	} {
		a := r.must("GET", "&transport=polling&id=x&as="+c.as, "")
		if a.status != c.status || a.body != c.body || a.header.Get("Retry-After") != c.retry {
			t.Errorf("%s: answered %d %s, Retry-After %q", c.as, a.status, a.body, a.header.Get("Retry-After"))
		}
		if got := statusOfUpgrade(t, r, "&transport=websocket&id=x&as="+c.as); got != c.upgrade {
			t.Errorf("%s: an upgrade was answered with %d, want %d", c.as, got, c.upgrade)
		}
	}
	if held.Load() != 0 || released.Load() != 0 {
		t.Fatalf("%d held and %d released, of none that was admitted", held.Load(), released.Load())
	}

	// Two sessions, one of each transport, and what fails after it was admitted.
	r.sid(r.get("&transport=polling&id=a").body)
	c := r.ws("&transport=websocket&id=b")
	r.sid(c.read())
	r.sid(r.get("&transport=polling&id=c&as=free").body)
	if held.Load() != 2 {
		t.Errorf("%d held, want 2", held.Load())
	}
	r.must("GET", "&transport=polling&id=a", "") // taken
	r.must("GET", "&transport=polling&id=", "")  // none
	statusOfUpgrade(t, r, "&transport=websocket&id=bad&")
	if held.Load() != 2 || released.Load() != 3 {
		t.Errorf("%d held, %d released; want 2 and 3", held.Load(), released.Load())
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if held.Load() != 0 || released.Load() != 5 {
		t.Errorf("after Close %d held, %d released; want 0 and 5", held.Load(), released.Load())
	}
}

// statusOfUpgrade asks for a WebSocket without the key that it needs.
func statusOfUpgrade(t *testing.T, r *rig, query string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", r.url+query, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	res, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}
