package auth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/auth"
	"github.com/carillonhq/carillon/cmd/carillon/internal/sign"
)

func withWebhook() auth.Config {
	return auth.Config{Mode: auth.Webhook, Webhook: auth.WebhookConfig{
		URL: "https://back.example/connect", Secret: secret, Headers: []string{"cookie", "X-Absent"},
		Timeout: 3 * time.Second, Concurrency: 2, Failures: 3, Pause: 5 * time.Second,
	}}
}

func connects() auth.Request {
	return auth.Request{
		Namespace: "/chat", Auth: json.RawMessage(`{"ticket":[1]}`), Address: "192.0.2.1", Node: "one",
		Header: http.Header{"Cookie": {"sid=1"}, "User-Agent": {"x"}},
		Query:  url.Values{"EIO": {"4"}, "transport": {"polling"}, "t": {"1"}, "lang": {"de"}},
	}
}

// says is a back end that always says that.
func says(status int, body string) wire {
	return func(*http.Request) (*http.Response, error) { return answer(status, body), nil }
}

// hangs is a back end that does not answer.
func hangs(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// What the back end is asked, and that it can tell who asks.
func TestQuestion(t *testing.T) {
	var got map[string]any
	back := wire(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if err := sign.Verify(r.Header, secret, time.Now(), time.Minute, body); err != nil {
			t.Error(err)
		}
		if r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s, %s", r.Method, r.Header.Get("Content-Type"))
		}
		for what, err := range map[string]error{
			"another secret": sign.Verify(r.Header, "another", time.Now(), time.Minute, body),
			"another body":   sign.Verify(r.Header, secret, time.Now(), time.Minute, append(body, ' ')),
			"much later":     sign.Verify(r.Header, secret, time.Now().Add(2*time.Minute), time.Minute, body),
			"no headers":     sign.Verify(http.Header{}, secret, time.Now(), time.Minute, body),
			"another time": func() error {
				h := r.Header.Clone()
				h.Set(sign.TimestampHeader, fmt.Sprint(time.Now().Unix()+1))
				return sign.Verify(h, secret, time.Now(), time.Minute, body)
			}(),
		} {
			if err == nil {
				t.Errorf("%s: the signature counts", what)
			}
		}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Error(err)
		}
		return answer(200, `{"allow":true,"user":"alice","device":"tv","expires":32503680000.5,"rooms":["a"],"can":["presence"]}`), nil
	})
	a := open(t, withWebhook(), auth.Options{Transport: back})
	id, err := a.Authenticate(t.Context(), connects())
	want := auth.Identity{User: "alice", Device: "tv", Expires: time.UnixMilli(32503680000500), Permissions: auth.Permissions{
		Namespaces: []string{"*"}, Rooms: []string{"a"}, Presence: true,
	}}
	if err != nil || !reflect.DeepEqual(id, want) {
		t.Errorf("got %+v, %v; want %+v", id, err, want)
	}
	if want := map[string]any{
		"refresh": false, "namespace": "/chat", "auth": map[string]any{"ticket": []any{1.0}}, "headers": map[string]any{"Cookie": "sid=1"},
		"query": map[string]any{"lang": "de"}, "address": "192.0.2.1", "node": "one",
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("asked %v, want %v", got, want)
	}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		status           int
		body, code, part string
	}{
		{200, `{"allow":false}`, "forbidden", "refused"},
		{200, `{"allow":false,"code":"payment_required","message":"pay first"}`, "payment_required", "pay first"},
		{200, `{"allow":false,"message":"` + strings.Repeat("x", 2000) + `"}`, "forbidden", "xxx"},
		{401, ``, "unauthorized", "refused"},
		{403, `{"allow":true,"user":"alice"}`, "forbidden", "refused"},
		{200, `{"allow":true}`, "unauthorized", "the user: a name expected"},
		{200, `{"allow":true,"user":"a\u0007"}`, "unauthorized", "the user"},
		{200, `{"allow":true,"user":"a","device":"\u0007"}`, "unauthorized", "the device"},
		{200, `{"allow":true,"user":"a","expires":1}`, "token_expired", "expired"},
		{200, `{"allow":true,"user":"a","namespaces":["/other"]}`, "forbidden", "namespace"},
		// No usable answer:
		{200, `{"user":"alice"}`, "unavailable", "try again later"},
		{200, ``, "unavailable", ""},
		{200, `[]`, "unavailable", ""},
		{200, strings.Repeat(" ", 65<<10) + `{"allow":true,"user":"alice"}`, "unavailable", ""},
		{204, `{"allow":true,"user":"alice"}`, "unavailable", ""},
		{302, `{"allow":true,"user":"alice"}`, "unavailable", ""},
		{404, ``, "unavailable", ""},
		{500, `{"allow":true,"user":"alice"}`, "unavailable", ""},
	} {
		a := open(t, withWebhook(), auth.Options{Transport: says(c.status, c.body)})
		_, err := a.Authenticate(t.Context(), connects())
		t.Run(fmt.Sprintf("%d %.40s", c.status, c.body), func(t *testing.T) { wantRefused(t, err, c.code, c.part) })
	}
}

// A back end that hangs is given up after the time limit and, after some
// failures, left alone for a while; then one client tries.
func TestCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		var well atomic.Bool
		var opened []bool
		back := wire(func(r *http.Request) (*http.Response, error) {
			calls.Add(1)
			if well.Load() {
				return answer(200, `{"allow":true,"user":"alice"}`), nil
			}
			return hangs(r)
		})
		a := open(t, withWebhook(), auth.Options{Transport: back, Hooks: auth.Hooks{Open: func(open bool) { opened = append(opened, open) }}})
		start := time.Now()
		for range 3 {
			_, err := a.Authenticate(t.Context(), connects())
			wantRefused(t, err, auth.Unavailable, "later")
		}
		if took := time.Since(start); took != 9*time.Second {
			t.Errorf("took %v, want three times the time limit", took)
		}
		for range 100 { // at once, and without a call
			_, err := a.Authenticate(t.Context(), connects())
			wantRefused(t, err, auth.Unavailable, "later")
		}
		if calls.Load() != 3 || time.Since(start) != 9*time.Second {
			t.Errorf("%d calls, %v", calls.Load(), time.Since(start))
		}
		well.Store(true)
		time.Sleep(5*time.Second + time.Millisecond)
		for range 3 {
			if _, err := a.Authenticate(t.Context(), connects()); err != nil {
				t.Error(err)
			}
		}
		if want := []bool{true, true, false}; !reflect.DeepEqual(opened, want) { // open, half open, closed
			t.Errorf("the hook heard %v, want %v", opened, want)
		}
	})
}

// No more calls are under way than may be; who waits too long is refused, and
// one who leaves says nothing of the back end.
func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		back := wire(func(r *http.Request) (*http.Response, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			select {
			case <-time.After(time.Second):
				return answer(200, `{"allow":true,"user":"alice"}`), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		a := open(t, withWebhook(), auth.Options{Transport: back})
		var ok, refused atomic.Int32
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := a.Authenticate(t.Context(), connects()); err == nil {
					ok.Add(1)
				} else {
					refused.Add(1)
				}
			})
		}
		wg.Wait()
		if most.Load() != 2 || ok.Load() < 4 || ok.Load()+refused.Load() != 10 {
			t.Errorf("%d at a time, %d let in, %d refused", most.Load(), ok.Load(), refused.Load())
		}

		for range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			if _, err := a.Authenticate(ctx, connects()); err == nil {
				t.Error("let in one who has left")
			}
		}
		if _, err := a.Authenticate(t.Context(), connects()); err != nil {
			t.Errorf("after ten who left: %v", err)
		}
	})
}

// Clients whose time was over before the back end could be called do not count
// as its failures.
func TestNoTimeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		a := open(t, withWebhook(), auth.Options{Transport: wire(func(r *http.Request) (*http.Response, error) {
			if err := r.Context().Err(); err != nil {
				calls++
				return nil, err
			}
			return answer(200, `{"allow":true,"user":"alice"}`), nil
		})})
		late, cancel := context.WithDeadline(t.Context(), time.Now())
		defer cancel()
		for range 100 {
			if _, err := a.Authenticate(late, connects()); err == nil {
				t.Error("let in one whose time was over")
			}
		}
		if calls != 0 {
			t.Errorf("%d calls for clients whose time was over", calls)
		}
		if _, err := a.Authenticate(t.Context(), connects()); err != nil {
			t.Errorf("after those whose time was over: %v", err)
		}
	})
}

// Clients are let in as nobody if that is configured, and none that the back
// end refused.
func TestAnonymous(t *testing.T) {
	cfg := withWebhook()
	cfg.Webhook.Anonymous = true
	a := open(t, cfg, auth.Options{Transport: says(500, "")})
	id, err := a.Authenticate(t.Context(), connects())
	if err != nil || !strings.HasPrefix(id.User, "anonymous-") {
		t.Errorf("got %+v, %v", id, err)
	}
	r := connects()
	r.Refresh = true
	_, err = a.Authenticate(t.Context(), r)
	wantRefused(t, err, auth.Unavailable, "later")
	a = open(t, cfg, auth.Options{Transport: says(403, "")})
	_, err = a.Authenticate(t.Context(), connects())
	wantRefused(t, err, auth.Forbidden, "refused")
}

// Whatever goes wrong, what clients and back ends keep secret is not logged.
func TestLogs(t *testing.T) {
	var log bytes.Buffer
	opts := auth.Options{
		Logger:    slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Transport: says(200, `{"allow":"s3cret","user":"s3cret"}`),
	}
	r := connects()
	r.Auth, r.Header = json.RawMessage(`{"token":"s3cret.s3cret.s3cret","password":"s3cret"}`), http.Header{"Cookie": {"s3cret"}, "Authorization": {"Bearer s3cret"}}
	cfg := withWebhook()
	cfg.Webhook.Secret = "s3cret"
	cfg.JWT = auth.JWTConfig{Algorithms: []string{"HS256", "ES256"}, Secret: "s3cret", JWKSURL: "https://h/", JWKSRefresh: time.Minute}
	for _, mode := range []string{auth.JWT, auth.Webhook} {
		cfg.Mode = mode
		a := open(t, cfg, opts)
		if _, err := a.Authenticate(t.Context(), r); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v", mode, err)
		}
	}
	if got := log.String(); strings.Contains(got, "s3cret") || !strings.Contains(got, "client refused") {
		t.Errorf("the log has:\n%s", got)
	}
}
