package engineio_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/engineio"
	"github.com/carillonhq/carillon/transport/polling"
)

func TestHandshake(t *testing.T) {
	r := newRig(t, engineio.Options{PingInterval: 12 * time.Second, PingTimeout: 3500 * time.Millisecond, MaxPayload: 5000}, false)
	check := func(t *testing.T, packet string, upgrades int) {
		t.Helper()
		var open map[string]any
		if err := json.Unmarshal([]byte(packet[1:]), &open); packet[0] != '0' || err != nil {
			t.Fatalf("%q: %v", packet, err)
		}
		keys := slices.Sorted(maps.Keys(open))
		if want := []string{"maxPayload", "pingInterval", "pingTimeout", "sid", "upgrades"}; !slices.Equal(keys, want) {
			t.Errorf("keys %v, want %v", keys, want)
		}
		if open["pingInterval"] != 12000.0 || open["pingTimeout"] != 3500.0 || open["maxPayload"] != 5000.0 {
			t.Errorf("%v", open)
		}
		if u, ok := open["upgrades"].([]any); !ok || len(u) != upgrades {
			t.Errorf("upgrades %v, want %d of them", open["upgrades"], upgrades)
		}
		p := r.peer()
		if p.ID() != open["sid"] || len(p.ID()) != 20 {
			t.Errorf("sid %v, session %q of 20 characters", open["sid"], p.ID())
		}
	}
	t.Run("polling", func(t *testing.T) {
		a := r.get("&transport=polling")
		check(t, a.body, 1)
		if a.header.Get("Content-Type") != "text/plain; charset=UTF-8" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("headers %v", a.header)
		}
	})
	t.Run("websocket", func(t *testing.T) { check(t, r.ws("&transport=websocket").read(), 0) })

	t.Run("what the session knows of it", func(t *testing.T) {
		before := time.Now()
		r.must("GET", "&transport=polling&token=abc", "", "X-Test", "yes")
		p := r.peer()
		h := p.Handshake()
		if h.Header.Get("X-Test") != "yes" || h.URL.Query().Get("token") != "abc" || h.RemoteAddr == "" || h.Secure ||
			h.Time.Before(before) || p.Transport() != engineio.Polling {
			t.Errorf("handshake %+v over %q", h, p.Transport())
		}
	})
}

// The rows of the protocol that concern HTTP long-polling.
func TestPolling(t *testing.T) {
	const unknown = `{"code":1,"message":"Session ID unknown"}`
	r := newRig(t, engineio.Options{MaxPayload: 1000}, false)

	t.Run("POST is answered ok as text/html, polls are text/plain, neither is stored", func(t *testing.T) {
		q, _ := r.poll()
		a := r.must("POST", q, "4hello")
		r.want(a, 200, "ok")
		if a.header.Get("Content-Type") != "text/html" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("headers %v", a.header)
		}
		a = r.get(q)
		r.want(a, 200, "4hello")
		if a.header.Get("Content-Type") != "text/plain; charset=UTF-8" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("headers %v", a.header)
		}
	})
	t.Run("several packets of one POST come back in one poll", func(t *testing.T) {
		q, _ := r.poll()
		r.want(r.must("POST", q, "4a\x1e4\x1e4c€"), 200, "ok")
		r.want(r.get(q), 200, "4a\x1e4\x1e4c€")
	})
	t.Run("binary is b and base64", func(t *testing.T) {
		q, _ := r.poll()
		r.want(r.must("POST", q, "4x\x1ebAQIDBA=="), 200, "ok")
		r.want(r.get(q), 200, "4x\x1ebAQIDBA==")
		r.want(r.must("POST", q, "bAQIDBA"), 200, "ok")
		r.want(r.get(q), 200, "bAQIDBA==")
	})
	t.Run("a poll waits", func(t *testing.T) {
		q, p := r.poll()
		poll := r.later("GET", q, "")
		until(t, func() bool { return p.SendVolatile(transport.Text("4now")) })
		r.want(recv(t, poll), 200, "4now")
		if p.SendVolatile(transport.Text("4lost")) {
			t.Error("a volatile message was queued though no poll waited")
		}
	})
	t.Run("packets of no meaning are ignored", func(t *testing.T) {
		q, _ := r.poll()
		r.want(r.must("POST", q, "0\x1e3\x1e5\x1e6\x1e3probe\x1e4x"), 200, "ok")
		r.want(r.get(q), 200, "4x")
	})

	for _, test := range []struct {
		name, body, content string
		status              int
		reason              engineio.Reason
	}{
		{"bad packet abc", "abc", "", 400, engineio.ReasonParseError},
		{"bad packet behind a good one", "4a\x1e9\x1e4b", "", 400, engineio.ReasonParseError},
		{"empty payload", "", "", 400, engineio.ReasonParseError},
		{"empty packet", "4a\x1e", "", 400, engineio.ReasonParseError},
		{"bad base64", "b!!", "", 400, engineio.ReasonParseError},
		{"text that is not UTF-8", "4\xff", "", 400, engineio.ReasonParseError},
		{"ping is the server's", "2", "", 400, engineio.ReasonTransportError},
		{"octet-stream", "4a", "application/octet-stream", 400, engineio.ReasonTransportError},
		{"close", "1", "", 200, engineio.ReasonTransportClose},
		{"close ends the payload", "1\x1eabc", "", 200, engineio.ReasonTransportClose},
	} {
		t.Run("POST ends the session: "+test.name, func(t *testing.T) {
			q, p := r.poll()
			body := ""
			if test.status == 200 {
				body = "ok"
			}
			r.want(r.must("POST", q, test.body, "Content-Type", test.content), test.status, body)
			p.want(t, test.reason)
			r.want(r.get(q), 400, unknown)
			r.want(r.must("POST", q, "4a"), 400, unknown)
		})
	}
	t.Run("close flushes the waiting poll with a noop", func(t *testing.T) {
		q, p := r.poll()
		poll := r.waiting(p, q)
		r.want(r.must("POST", q, "1"), 200, "ok")
		r.want(recv(t, poll), 200, "6")
		p.want(t, engineio.ReasonTransportClose)
	})
	t.Run("bad packet ends the waiting poll with a close packet", func(t *testing.T) {
		q, p := r.poll()
		poll := r.waiting(p, q)
		r.want(r.must("POST", q, "abc"), 400, "")
		r.want(recv(t, poll), 200, "1")
	})
	t.Run("overlapping GET", func(t *testing.T) {
		q, p := r.poll()
		poll := r.waiting(p, q)
		r.want(r.get(q+"&t=burst"), 400, "")
		r.want(recv(t, poll), 200, "1")
		p.want(t, engineio.ReasonTransportError)
		r.want(r.get(q), 400, unknown)
	})
	t.Run("PUT on a live sid", func(t *testing.T) {
		q, _ := r.poll()
		r.want(r.must("PUT", q, "4a"), 500, "")
		r.want(r.must("POST", q, "4a"), 200, "ok")
	})
	t.Run("oversize POST does not end the session", func(t *testing.T) {
		q, _ := r.poll()
		r.want(r.must("POST", q, strings.Repeat("4", 1001)), 413, "")
		r.want(r.must("POST", q, strings.Repeat("4", 1000)), 200, "ok")
		r.want(r.get(q), 200, strings.Repeat("4", 1000))
	})
	t.Run("client hangs up a waiting poll", func(t *testing.T) {
		q, p := r.poll()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", r.url+q, nil)
		failed := make(chan error, 1)
		go func() {
			_, err := r.http.Do(req)
			failed <- err
		}()
		until(t, p.Waits)
		cancel()
		if err := recv(t, failed); err == nil {
			t.Fatal("the request was not canceled")
		}
		e := recv(t, p.closed)
		if e.reason != engineio.ReasonTransportError || !errors.Is(e.err, polling.ErrAbandoned) {
			t.Errorf("Closed(%q, %v)", e.reason, e.err)
		}
	})
	t.Run("old Internet Explorer", func(t *testing.T) {
		q, _ := r.poll()
		a := r.must("POST", q, "4a", "User-Agent", "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0)")
		if got := a.header.Get("X-XSS-Protection"); got != "0" {
			t.Errorf("X-XSS-Protection %q", got)
		}
	})
}

// waiting returns a poll of p that is waiting at the server.
func (r *rig) waiting(p *peer, query string) <-chan answer {
	r.t.Helper()
	poll := r.later("GET", query, "")
	until(r.t, p.Waits)
	return poll
}

// The receiver may block: the POST is answered when all its messages are
// taken, another one meanwhile is an overlap.
func TestOverlappingPOST(t *testing.T) {
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	r := newRigWith(t, engineio.Options{}, false, func(*peer, bool, []byte) error {
		entered <- struct{}{}
		<-leave
		return nil
	})
	q, p := r.poll()
	first := r.later("POST", q, "4a")
	recv(t, entered)
	select {
	case a := <-first:
		t.Fatalf("POST was answered %v while its message was being taken", a)
	default:
	}
	r.want(r.must("POST", q, "4b"), 400, "")
	close(leave)
	if a := recv(t, first); a.status != 200 && a.status != 400 {
		t.Errorf("first POST: %v", a)
	}
	p.want(t, engineio.ReasonTransportError)
}

// A Receiver's error is a parse error, and told to it as it is.
func TestReceiverRefuses(t *testing.T) {
	r := newRigWith(t, engineio.Options{}, false, func(*peer, bool, []byte) error { return errTest })
	q, p := r.poll()
	r.must("POST", q, "4a")
	if e := recv(t, p.closed); e.reason != engineio.ReasonParseError || e.err != errTest {
		t.Errorf("Closed(%q, %v)", e.reason, e.err)
	}
	c, p := r.session()
	c.write("4a")
	if e := recv(t, p.closed); e.reason != engineio.ReasonParseError || e.err != errTest {
		t.Errorf("Closed(%q, %v)", e.reason, e.err)
	}
}

func until(t *testing.T, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("not in time")
		}
	}
}
