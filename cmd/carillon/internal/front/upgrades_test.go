package front_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/front"
)

// A hall is a server with its short way for upgrades.
type hall struct {
	addr     string
	half     *front.HalfOpen
	server   *http.Server
	listener net.Listener
	requests chan string // as handlers see them, "short" before those that came the short way
}

// openHall has a handler answer all.
func openHall(t *testing.T, timeout time.Duration, handle http.HandlerFunc) *hall {
	t.Helper()
	return openHallAt(t, "/socket.io/", timeout, handle)
}

// openHallAt is openHall with the path of the short way.
func openHallAt(t *testing.T, path string, timeout time.Duration, handle http.HandlerFunc) *hall {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hall{addr: l.Addr().String(), half: front.NewHalfOpen(10, nil), requests: make(chan string, 100)}
	logger := slog.New(slog.DiscardHandler)
	h.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			way := "long"
			if r.Context().Value(http.ServerContextKey) == nil {
				way = "short"
			}
			h.requests <- way + " " + shown(r)
			handle(w, r)
		}),
		ReadHeaderTimeout: timeout,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelError),
	}
	h.half.Watch(h.server)
	u := &front.Upgrades{Path: path, Handler: h.server.Handler, Timeout: timeout, HalfOpen: h.half, Logger: logger}
	rest, wait := u.Listen(l)
	h.listener = rest
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(rest) }() // ends with Close
	t.Cleanup(func() { h.server.Close(); <-served; wait() })
	return h
}

// shown is what a request says, in one line.
func shown(r *http.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s host=%q close=%v length=%d %q", r.Method, r.URL, r.Proto, r.Host, r.Close, r.ContentLength, r.RequestURI)
	fmt.Fprintf(&b, " %q %v", fmt.Sprint(r.Header), r.Body == http.NoBody)
	return b.String()
}

// upgrade answers as a server of WebSockets does.
func upgrade(w http.ResponseWriter, _ *http.Request) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil || rw.Reader.Buffered() > 0 {
		panic("not hijacked")
	}
	defer c.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
	_, _ = io.CopyN(c, c, 4)
}

const opening = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n" +
	"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nCookie: a=b\r\nCookie: c=d\r\n\r\n"

// What comes the short way is seen as if it had come by net/http's server.
func TestUpgrade(t *testing.T) {
	h := openHall(t, time.Minute, upgrade)
	plain := openHallAt(t, "/other/", time.Minute, upgrade) // where all goes the long way
	for name, request := range map[string]string{
		"short": opening,
		"long":  strings.Replace(opening, "Cookie: a=b", "Content-Length: 0", 1),
	} {
		c := dial(t, h.addr)
		_, _ = io.WriteString(c, request)
		r := bufio.NewReader(c)
		if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%s: got %v, %v", name, res, err)
		}
		_, _ = io.WriteString(c, "ping")
		if back, err := io.ReadAll(r); string(back) != "ping" {
			t.Errorf("%s: got %q back, %v", name, back, err)
		}
		got := <-h.requests
		if !strings.HasPrefix(got, name) {
			t.Errorf("want it to come the %s way, got %s", name, got)
		}
		_, _ = io.WriteString(dial(t, plain.addr), request)
		want := <-plain.requests
		if _, want, _ = strings.Cut(want, " "); !strings.HasSuffix(got, want) {
			t.Errorf("%s: the handler saw\n%s\nwant\n%s", name, got, want)
		}
	}
}

// What is not exactly the opening of a WebSocket is for net/http's server, which
// finds it untouched.
func TestNoUpgrade(t *testing.T) {
	h := openHall(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "answer to %q", body)
	})
	with := func(line string) string { return strings.Replace(opening, "Cookie: a=b", line, 1) }
	for name, c := range map[string]struct {
		request string
		status  int
		body    string
	}{
		"a poll":                {"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n", 200, `answer to ""`},
		"a page":                {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200, `answer to ""`},
		"an upgrade of a poll":  {strings.Replace(opening, "EIO=4", "EIO=4&sid=x", 1), 200, `answer to ""`},
		"another path":          {strings.Replace(opening, "socket.io", "other", 1), 200, `answer to ""`},
		"HTTP/1.0":              {strings.Replace(opening, "HTTP/1.1", "HTTP/1.0", 1), 200, `answer to ""`},
		"with a body":           {with("Content-Length: 4") + "body", 200, `answer to "body"`},
		"with chunks":           {with("Transfer-Encoding: chunked") + "4\r\nbody\r\n0\r\n\r\n", 200, `answer to "body"`},
		"with frames behind":    {opening + "\x81\x80abcd", 200, `answer to ""`},
		"two hosts":             {with("Host: x"), 400, ""},
		"two hosts, lower case": {with("host: x"), 400, ""},
		"no host":               {strings.Replace(opening, "Host: ", "Cost: ", 1), 400, ""},
		"a bad host":            {strings.Replace(opening, "example.com", "exa mple", 1), 400, ""},
		"a bad header":          {with("a b: c"), 400, ""},
		"a bad value":           {with("a: \x01"), 400, ""},
		"an expectation":        {with("Expect: much"), 417, ""},
		"a version":             {strings.Replace(opening, "HTTP/1.1", "HTTP/3.0", 1), 505, ""},
		"much":                  {with("Cookie: " + strings.Repeat("x", 10_000)), 200, `answer to ""`},
	} {
		conn := dial(t, h.addr)
		_, _ = io.WriteString(conn, c.request)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != c.status || c.status == 200 && string(body) != c.body {
			t.Errorf("%s: got %d, %q", name, res.StatusCode, body)
		}
		if c.status == 200 {
			if seen := <-h.requests; !strings.HasPrefix(seen, "long") {
				t.Errorf("%s: came the short way: %s", name, seen)
			}
		}
	}
}

// A handler may answer like any other.
func TestUpgradeRefused(t *testing.T) {
	h := openHall(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != "a=b" {
			panic("for the log")
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"code":5}`)
		if _, _, err := http.NewResponseController(w).Hijack(); err == nil {
			t.Error("the connection was handed out amid an answer")
		}
	})
	c := dial(t, h.addr)
	_, _ = io.WriteString(c, opening)
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != 429 || string(body) != `{"code":5}` || res.Header.Get("Retry-After") != "3" || !res.Close || res.Header.Get("Date") == "" {
		t.Errorf("got %v %q", res, body)
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("got %v behind the answer, want the end", err)
	}
	if seen := <-h.requests; !strings.HasPrefix(seen, "short") {
		t.Errorf("saw %s", seen)
	}

	c = dial(t, h.addr)
	_, _ = io.WriteString(c, strings.Replace(opening, "Cookie: a=b\r\n", "", 1))
	if all, err := io.ReadAll(c); err != nil || len(all) > 0 {
		t.Errorf("got %q, %v after a panic, want the end", all, err)
	}
}

// Who says nothing is cut off in time, or when the listener is closed, and counts
// as half open until then.
func TestUpgradeSilent(t *testing.T) {
	h := openHall(t, 200*time.Millisecond, upgrade)
	silent := dial(t, h.addr)
	if _, err := silent.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want the end", err)
	}

	h = openHall(t, time.Minute, upgrade)
	first := dial(t, h.addr)
	waiting(t, h.half, 1)
	for range 10 {
		dial(t, h.addr)
	}
	if _, err := first.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v for the oldest of too many, want the end", err)
	}
	waiting(t, h.half, 10)
	last := dial(t, h.addr)
	if err := h.listener.Close(); err != nil {
		t.Error(err)
	}
	if _, err := last.Read(make([]byte, 1)); err == nil {
		t.Error("a connection survived the listener")
	}
	waiting(t, h.half, 0)
}

// A connection that becomes a WebSocket takes no buffers that it throws away;
// net/http's server has three of 4 KiB.
func TestUpgradeAllocates(t *testing.T) {
	h := openHall(t, time.Minute, upgrade)
	answer := make([]byte, 100)
	open := func() {
		t.Helper()
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, opening)
		if _, err := io.ReadAtLeast(c, answer, 12); err != nil {
			t.Fatal(err)
		}
		<-h.requests
	}
	const clients = 200
	open() // what is made once
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range clients {
		open()
	}
	runtime.ReadMemStats(&after)
	each := (after.TotalAlloc - before.TotalAlloc) / clients
	t.Logf("%d bytes for each client, of which its own side and what the test keeps are a part", each)
	if each > 12<<10 {
		t.Errorf("got %d bytes for each client, want 12 KiB at most", each)
	}
}

// waiting awaits the number of connections that are half open.
func waiting(t *testing.T, half *front.HalfOpen, want int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); half.Len() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are half open, want %d", half.Len(), want)
		}
	}
}
