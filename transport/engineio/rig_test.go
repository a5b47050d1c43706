package engineio_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/engineio"
)

// patience bounds each wait of a test; nothing takes nearly as long.
const patience = 30 * time.Second

// A rig is a Server, an application that echoes, and clients' means.
type rig struct {
	*engineio.Server
	t    *testing.T
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	http *http.Client
	url  string // up to and with "?EIO=4"

	opened chan *peer
}

// A peer is the server's end of one session.
type peer struct {
	*engineio.Session
	hear   func(p *peer, binary bool, data []byte) error // default: echo
	closed chan end                                      // what Closed was told
}

type end struct {
	reason engineio.Reason
	err    error
}

func (p *peer) Message(binary bool, data []byte) error {
	if p.hear != nil {
		return p.hear(p, binary, data)
	}
	if !binary {
		data = append([]byte("4"), data...)
	}
	_ = p.Send(transport.NewFrames(transport.Frame{Binary: binary, Data: data})) // may be closing
	return nil
}

func (p *peer) Closed(reason engineio.Reason, err error) { p.closed <- end{reason, err} }

// across, unless 0, is how many nodes each rig has, with a balancer before them
// that sends each request to the next one. Tests do not run in parallel.
var across = 0

// acrossHold is the UpgradeHold of those nodes.
var acrossHold time.Duration

// newRig serves over TCP, or over pipes where time is a bubble's.
func newRig(t *testing.T, opts engineio.Options, pipes bool) *rig {
	t.Helper()
	return newRigWith(t, opts, pipes, nil)
}

func newRigWith(t *testing.T, opts engineio.Options, pipes bool, hear func(*peer, bool, []byte) error) *rig {
	t.Helper()
	if across > 0 {
		opts.UpgradeHold = acrossHold
		return newClusterWith(t, across, opts, pipes, memory.NewHub().Driver, hear).rig
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	opened := make(chan *peer, 1<<12)
	srv := engineio.New(opts, func(s *engineio.Session) engineio.Receiver {
		p := &peer{Session: s, hear: hear, closed: make(chan end, 2)}
		opened <- p
		return p
	})
	r := serve(t, srv, pipes)
	r.opened = opened
	return r
}

// newServer serves over TCP with an application of the test's own.
func newServer(t *testing.T, accept func(*engineio.Session) engineio.Receiver) *rig {
	t.Helper()
	return serve(t, engineio.New(engineio.Options{CloseTimeout: time.Second}, accept), false)
}

func serve(t *testing.T, s *engineio.Server, pipes bool) *rig {
	t.Helper()
	return serveWith(t, s, s, pipes)
}

// serveWith is serve of a Server that h stands before.
func serveWith(t *testing.T, s *engineio.Server, h http.Handler, pipes bool) *rig {
	t.Helper()
	r := &rig{Server: s, t: t}
	mux := http.NewServeMux()
	mux.Handle("/engine.io/", h)
	srv := &http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0)}
	var ln net.Listener
	if pipes {
		p := newPipes()
		ln, r.dial = p, p.dial
		r.url = "http://pipe/engine.io/?EIO=4"
	} else {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln, r.dial = l, new(net.Dialer).DialContext
		r.url = "http://" + l.Addr().String() + "/engine.io/?EIO=4"
	}
	tr := &http.Transport{DialContext: r.dial, DisableCompression: true, MaxIdleConnsPerHost: 100}
	r.http = &http.Client{Transport: tr}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(ln) }) // ends with srv.Close
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if n := r.Sessions(); n != 0 {
			t.Errorf("%d sessions after Close", n)
		}
		tr.CloseIdleConnections()
		_ = srv.Close()
		wg.Wait()
	})
	return r
}

type answer struct {
	status int
	body   string
	header http.Header
}

// do makes a request with what follows "?EIO=4" in its URL; a query that
// begins with "?" takes the place of it.
func (r *rig) do(method, query, body string, header ...string) (answer, error) {
	url := r.url + query
	if strings.HasPrefix(query, "?") {
		url, _, _ = strings.Cut(r.url, "?")
		url += query
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, string(b), res.Header}, err
}

func (r *rig) must(method, query, body string, header ...string) answer {
	r.t.Helper()
	a, err := r.do(method, query, body, header...)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, query, err)
	}
	return a
}

func (r *rig) get(query string) answer { r.t.Helper(); return r.must("GET", query, "") }

// later makes a request on a goroutine of its own.
func (r *rig) later(method, query, body string) <-chan answer {
	ch := make(chan answer, 1)
	go func() {
		a, err := r.do(method, query, body)
		if err != nil {
			a = answer{status: -1, body: err.Error()}
		}
		ch <- a
	}()
	return ch
}

func (r *rig) want(a answer, status int, body string) {
	r.t.Helper()
	if a.status != status || a.body != body {
		r.t.Fatalf("answered %d %.200q, want %d %.200q", a.status, a.body, status, body)
	}
}

// poll opens a session and returns the query that names it.
func (r *rig) poll() (query string, p *peer) {
	r.t.Helper()
	a := r.get("&transport=polling")
	if a.status != 200 {
		r.t.Fatalf("handshake answered %d %q", a.status, a.body)
	}
	return "&transport=polling&sid=" + r.sid(a.body), r.peer()
}

func (r *rig) sid(packet string) string {
	r.t.Helper()
	var open struct{ SID string }
	if !strings.HasPrefix(packet, "0") || json.Unmarshal([]byte(packet[1:]), &open) != nil || open.SID == "" {
		r.t.Fatalf("%q is not an open packet", packet)
	}
	return open.SID
}

func (r *rig) peer() *peer {
	r.t.Helper()
	return recv(r.t, r.opened)
}

// ws opens a WebSocket.
func (r *rig) ws(query string) *socket {
	r.t.Helper()
	c, _, err := websocket.Dial(r.t.Context(), "ws"+strings.TrimPrefix(r.url, "http")+query,
		&websocket.DialOptions{HTTPClient: r.http})
	if err != nil {
		r.t.Fatal(err)
	}
	c.SetReadLimit(-1)
	r.t.Cleanup(func() { _ = c.CloseNow() })
	return &socket{c, r.t}
}

// session opens a session over WebSocket.
func (r *rig) session() (*socket, *peer) {
	r.t.Helper()
	c := r.ws("&transport=websocket")
	r.sid(c.read())
	return c, r.peer()
}

func (p *peer) want(t *testing.T, reason engineio.Reason) {
	t.Helper()
	if e := recv(t, p.closed); e.reason != reason {
		t.Errorf("Closed(%q, %v), want %q", e.reason, e.err, reason)
	}
}

// socket is a client's WebSocket.
type socket struct {
	*websocket.Conn
	t *testing.T
}

func (c *socket) write(packet string) {
	c.t.Helper()
	if err := c.Write(c.t.Context(), websocket.MessageText, []byte(packet)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *socket) read() string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	_, data, err := c.Read(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(data)
}

func (c *socket) want(packet string) {
	c.t.Helper()
	if got := c.read(); got != packet {
		c.t.Fatalf("received %.200q, want %.200q", got, packet)
	}
}

// wantClose reads to the end of the connection.
func (c *socket) wantClose(status websocket.StatusCode) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for {
		if _, _, err := c.Read(ctx); err != nil {
			if got := websocket.CloseStatus(err); got != status {
				c.t.Fatalf("closed with %v (%v), want %v", got, err, status)
			}
			return
		}
	}
}

func recv[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came in time")
	}
	panic("unreachable")
}

// pipes is a listener without a network, for bubbles.
type pipes struct {
	ch   chan net.Conn
	done chan struct{}
	once sync.Once
}

func newPipes() *pipes { return &pipes{ch: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.ch <- there:
		return here, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.ch:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

var errTest = errors.New("test")
