package polling_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/polling"
	"github.com/carillonhq/carillon/transport/transporttest"
)

// raw opens a TCP connection to the client's server and writes to it.
func (c *client) raw(t *testing.T, text string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// A POST whose body drips in does not outlive its Conn.
func TestPOSTDrips(t *testing.T) {
	rec := transporttest.NewRecorder(t)
	conn, c := open(t, polling.Options{}, rec)
	raw := c.raw(t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
	in := bufio.NewReader(raw)
	if line, err := in.ReadString('\n'); !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q (%v)", line, err) // the body is being read
	}
	conn.Abort()
	rec.WantClosed(nil)
	if _, err := in.Discard(2); err != nil { // the end of the line above
		t.Fatal(err)
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("answered %s, want 400", res.Status)
	}
}

func TestPOSTHangsUp(t *testing.T) {
	rec := transporttest.NewRecorder(t)
	_, c := open(t, polling.Options{}, rec)
	raw := c.raw(t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n4abc")
	raw.Close()
	rec.WantClosed(polling.ErrAbandoned)
}

// A client that does not read its poll is cut by the write's deadline.
func TestPollIsNotRead(t *testing.T) {
	rec := transporttest.NewRecorder(t)
	conn, c := open(t, polling.Options{WriteTimeout: 50 * time.Millisecond, MaxQueue: 64 << 20}, rec)
	for range 20 {
		if err := conn.Send(transport.Text("4" + strings.Repeat("x", 1<<20))); err != nil {
			t.Fatal(err)
		}
	}
	c.raw(t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	rec.Closing()
}

// The http.Server's own timeouts are about requests, not about waiting.
func TestServerTimeouts(t *testing.T) {
	rec := transporttest.NewRecorder(t)
	a := polling.New(polling.Options{})
	conn, err := a.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Start(rec)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = conn.Serve(w, r) }))
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = 30*time.Millisecond, 30*time.Millisecond
	srv.Start()
	defer srv.Close()
	defer a.Close()
	time.AfterFunc(200*time.Millisecond, func() { _ = conn.Send(transport.Text("4late")) })
	res, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); string(body) != "4late" {
		t.Errorf("poll %q (%v)", body, err)
	}
}

func TestPayloadLimit(t *testing.T) {
	rec := transporttest.NewRecorder(t)
	_, c := open(t, polling.Options{MaxPayload: 10}, rec)
	if _, _, err := c.do(http.MethodPost, "4123456789a"); err != statusError(413) {
		t.Errorf("11 bytes: %v", err)
	}
	// The same without a length to go by.
	in := bufio.NewReader(c.raw(t, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n4123456789a\r\n0\r\n\r\n"))
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 413 || len(body) != 0 {
		t.Errorf("chunked: %s %q, want an empty 413", res.Status, body)
	}
	if err := c.post("4123456789"); err != nil {
		t.Errorf("10 bytes: %v", err)
	}
	if f := rec.Next(); string(f.Data) != "4123456789" {
		t.Errorf("received %q", f.Data)
	}
}

func TestDetach(t *testing.T) {
	rec := transporttest.NewRecorder(t)
	conn, c := open(t, polling.Options{}, rec)
	a, b := transport.Text("4a"), transport.Text("4b")
	_, _ = conn.Send(a), conn.Send(b)
	queue, ok := conn.Detach()
	if !ok || len(queue) != 2 || queue[0] != a || queue[1] != b {
		t.Errorf("Detach() = %v, %t", queue, ok)
	}
	rec.WantClosed(nil)
	if _, ok := conn.Detach(); ok {
		t.Error("detached twice")
	}
	if _, _, err := c.do(http.MethodGet, ""); err != statusError(http.StatusGone) {
		t.Errorf("GET after Detach: %v", err)
	}
}

func TestNotStarted(t *testing.T) {
	a := polling.New(polling.Options{})
	conn, err := a.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Serve(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("GET: %v, want ErrClosed", err)
	}
	if err := a.Close(); err != nil { // does not wait for it
		t.Error(err)
	}
	rec := transporttest.NewRecorder(t)
	conn.Start(rec)
	rec.WantClosed(nil)
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if _, err := a.Accept(); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Accept after Close: %v, want ErrClosed", err)
	}
}

// A Receiver that panics ends its Conn and nothing else.
func TestReceiverPanics(t *testing.T) {
	rec := transporttest.NewRecorder(t)
	rec.OnFrame = func(bool, []byte) error { panic(http.ErrAbortHandler) } // which net/http does not log
	_, c := open(t, polling.Options{}, rec)
	if err := c.post("4a"); err == nil {
		t.Error("the POST was answered")
	}
	rec.Closing()
}

func TestHooks(t *testing.T) {
	type call struct {
		hook     string
		n, bytes int
	}
	calls := make(chan call, 10)
	opts := polling.Options{MaxQueue: 200, Hooks: polling.Hooks{
		Polled:  func(sends, bytes int) { calls <- call{"polled", sends, bytes} },
		Posted:  func(frames, bytes int) { calls <- call{"posted", frames, bytes} },
		Dropped: func() { calls <- call{hook: "dropped"} },
		Slow:    func() { calls <- call{hook: "slow"} },
	}}
	conn, c := open(t, opts, transporttest.NewRecorder(t))
	conn.SendVolatile(transport.Text("4a"))
	_, _ = conn.Send(transport.Text("4a")), conn.Send(transport.Text("4b"))
	if _, body, err := c.do(http.MethodGet, ""); body != "4a\x1e4b" {
		t.Fatalf("poll %q (%v)", body, err)
	}
	got := []call{<-calls, <-calls}
	if err := c.post("4x\x1e4y\x1e4z"); err != nil {
		t.Fatal(err)
	}
	got = append(got, <-calls)
	for conn.Send(transport.Text("4a")) == nil {
	}
	got = append(got, <-calls)
	want := []call{{"dropped", 0, 0}, {"polled", 2, 5}, {"posted", 3, 8}, {"slow", 0, 0}}
	if !slices.Equal(got, want) {
		t.Errorf("hooks %v, want %v", got, want)
	}
}
