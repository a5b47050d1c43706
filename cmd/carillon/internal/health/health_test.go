package health_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/carillonhq/carillon/cmd/carillon/internal/health"
)

func get(h http.Handler, method string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
	return w
}

func TestReady(t *testing.T) {
	reason, note := "", ""
	checks := health.Checks{
		{Name: "draining", Reason: func() string { return "" }},
		{Name: "broker", Reason: func() string { return reason }, Note: func() string { return note }},
	}
	for _, c := range []struct {
		reason, note, want string
		status             int
	}{
		{"", "", `{"ready":true,"checks":[{"name":"draining","ok":true},{"name":"broker","ok":true}]}`, 200},
		{"", "slow", `{"ready":true,"checks":[{"name":"draining","ok":true},{"name":"broker","ok":true,"reason":"slow"}]}`, 200},
		{"down", "slow", `{"ready":false,"checks":[{"name":"draining","ok":true},{"name":"broker","ok":false,"reason":"down"}]}`, 503},
	} {
		reason, note = c.reason, c.note
		w := get(checks, "GET")
		if got := strings.TrimSpace(w.Body.String()); w.Code != c.status || got != c.want {
			t.Errorf("got %d %s, want %d %s", w.Code, got, c.status, c.want)
		}
		if got := w.Header().Get("Content-Type"); got != "application/json" {
			t.Errorf("content type %q", got)
		}
	}
}

// A node that is not ready is alive all the same.
func TestLive(t *testing.T) {
	if w := get(http.HandlerFunc(health.Live), "GET"); w.Code != 200 || !strings.Contains(w.Body.String(), `"alive":true`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := get(http.HandlerFunc(health.Live), "POST"); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: got %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}
