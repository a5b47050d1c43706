package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/cmd/carillon/internal/announce"
	"github.com/carillonhq/carillon/cmd/carillon/internal/auth"
	"github.com/carillonhq/carillon/cmd/carillon/internal/limit"
	"github.com/carillonhq/carillon/presence"
	"github.com/carillonhq/carillon/transport/socketio"
	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// heard are the hooks of a gate that were called, in words.
type heard struct {
	mu  sync.Mutex
	all []string
}

func (l *heard) add(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, what)
}

func (l *heard) has(what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.all, what)
}

func (l *heard) hooks() gateHooks {
	return gateHooks{
		Auth: auth.Hooks{
			Accepted: func() { l.add("accepted") },
			Refused:  func(code string) { l.add("refused " + code) },
		},
		Limit:     limit.Hooks{Refused: func(kind limit.Kind) { l.add("limit " + string(kind)) }},
		Expired:   func() { l.add("expired") },
		Forbidden: func(what string) { l.add("forbidden " + what) },
		Origin:    func() { l.add("origin") },
		HalfOpen:  func() { l.add("half open") },
	}
}

// gated is an instance behind the gate of cfg.
func gated(t *testing.T, cfg Config, hooks gateHooks) (url string, server *socketio.Server, g *gate) {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	g, err := openGate(cfg, hooks, logger)
	if err != nil {
		t.Fatal(err)
	}
	bus, err := broker.Open(t.Context(), on(memory.NewHub()), broker.Options{Node: "one", Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	users := presence.New(bus, presence.Options{})
	opts := socketOptions(cfg.Server, adapter.NewCluster(bus, adapter.Options{Logger: logger}), logger)
	g.guard(&opts.Engine)
	server = socketio.New(opts)
	who := announce.New(users, bus.Self().Name, announce.Options{Blind: blind, Logger: logger})
	service := newService(server, bus, who, g, new(events), logger)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := g.server(server)
	served := make(chan error, 1)
	go func() { served <- g.serve(web, listener) }() // ends with Close below
	t.Cleanup(func() {
		server.Close()
		web.Close()
		<-served
		service.Close()
		who.Close()
		users.Close()
		bus.Close()
		g.Close()
	})
	return "http://" + listener.Addr().String(), server, g
}

func withSecret() Config {
	cfg := defaultConfig()
	cfg.Auth.Mode = auth.JWT
	cfg.Auth.JWT.Algorithms, cfg.Auth.JWT.Secret, cfg.Auth.JWT.Leeway = []string{"HS256"}, strings.Repeat("s", 32), 0
	return cfg
}

// tokenFor is a token in auth.
func tokenFor(t *testing.T, cfg Config, user string, ttl time.Duration, grants auth.Grants) (inAuth, token string) {
	t.Helper()
	token, err := mint(cfg.Auth.JWT, user, ttl, "", "", "", grants, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(map[string]string{"token": token, "password": "s3cret"})
	return string(text), token
}

func codeOf(answer map[string]any) any {
	failure, _ := answer["error"].(map[string]any)
	return failure["code"]
}

// Each refusal is counted.
func TestGateHooks(t *testing.T) {
	var l heard
	cfg := withSecret()
	cfg.Server.Origins = []string{"https://a"}
	cfg.Limits.ConnectionsPerUser, cfg.Limits.HalfOpen = 1, 1
	cfg.Limits.Socket.BytesPerSecond = 1000
	url, _, _ := gated(t, cfg, l.hooks())
	c := socketiotest.Dial(t, url)
	c.Send(`40{"token":"x"}`)
	if got := c.Read(); !strings.Contains(got, `"code":"unauthorized"`) {
		t.Errorf("got %q", got)
	}
	text, _ := tokenFor(t, cfg, "alice", 2*time.Second, auth.Grants{Rooms: []string{"lobby"}, Can: []string{}})
	c.Join(text)
	for packet, what := range map[string]string{
		`["message",{"to":"bob"}]`: "message", `["room:join","attic"]`: "join",
		`["room:message",{"room":"lobby"}]`: "broadcast", `["presence:list"]`: "presence",
	} {
		if got := codeOf(ask(t, c, packet)); got != "forbidden" || !l.has("forbidden "+what) {
			t.Errorf("%s: acknowledged %v, told %v", packet, got, l.all)
		}
	}
	if got := codeOf(ask(t, c, `["x","`+strings.Repeat("x", 2000)+`"]`)); got != "rate_limited" {
		t.Errorf("acknowledged %v", got)
	}
	second := socketiotest.Dial(t, url)
	second.Send("40" + text)
	if got := second.Read(); !strings.Contains(got, `"code":"too_many_connections"`) || !strings.Contains(got, `"retryAfter":5000`) {
		t.Errorf("got %q", got)
	}

	request, err := http.NewRequestWithContext(t.Context(), "GET", url+"/socket.io/?EIO=4&transport=polling", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Origin", "https://b")
	res, err := http.DefaultClient.Do(request)
	if err != nil || res.StatusCode != 403 {
		t.Fatalf("got %v, %v", res, err)
	}
	res.Body.Close()
	for range 2 {
		half, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer half.Close()
	}
	c.WantClosed() // at the end of its token
	for _, want := range []string{
		"accepted", "refused unauthorized", "expired", "origin", "limit connections_per_user", "limit socket_bytes",
	} {
		if !l.has(want) {
			t.Errorf("not told: %s, but %v", want, l.all)
		}
	}
	for end := time.Now().Add(30 * time.Second); !l.has("half open") && time.Now().Before(end); time.Sleep(time.Millisecond) {
		continue // the server accepts in its own time
	}
	if !l.has("half open") {
		t.Error("not told: half open")
	}
}

// Whoever fetches sockets sees nothing of what a client keeps secret.
func TestHandshakeNotShown(t *testing.T) {
	cfg := withSecret()
	cfg.Auth.JWT.Query = "access"
	url, server, _ := gated(t, cfg, gateHooks{})
	text, token := tokenFor(t, cfg, "alice", time.Minute, auth.Grants{Device: "phone"})
	c := socketiotest.Dial(t, url)
	c.Join(text)
	_, other := tokenFor(t, cfg, "alice", time.Minute, auth.Grants{Device: "laptop"}) // the same device would take the place
	byQuery, err := http.Get(url + "/socket.io/?EIO=4&transport=polling&access=" + other)
	if err != nil {
		t.Fatal(err)
	}
	var open struct{ SID string }
	if err := json.NewDecoder(skip(byQuery.Body, 1)).Decode(&open); err != nil {
		t.Fatal(err)
	}
	byQuery.Body.Close()
	session := url + "/socket.io/?EIO=4&transport=polling&sid=" + open.SID
	res, err := http.Post(session, "text/plain", strings.NewReader("40"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res, err = http.Get(session); err != nil { // when it is in
		t.Fatal(err)
	}
	res.Body.Close()

	sockets, err := server.Of("/").FetchSockets(t.Context())
	if err != nil || len(sockets) != 2 {
		t.Fatalf("got %v, %v", sockets, err)
	}
	for _, s := range sockets {
		for _, secret := range []string{strings.Split(token, ".")[1], strings.Split(other, ".")[1], "s3cret"} {
			if bytes.Contains(s.Handshake, []byte(secret)) || bytes.Contains(s.Data, []byte(secret)) {
				t.Errorf("shown: %s %s", s.Handshake, s.Data)
			}
		}
		if data := string(s.Data); data != `{"user":"alice","device":"phone"}` && data != `{"user":"alice","device":"laptop"}` || !bytes.Contains(s.Handshake, []byte(`"EIO":"4"`)) {
			t.Errorf("shown: %s %s", s.Handshake, s.Data)
		}
	}
}

// What can change changes, and with an error nothing does.
func TestGateReload(t *testing.T) {
	cfg := withSecret()
	url, _, g := gated(t, cfg, gateHooks{})
	enter := func(cfg Config) string {
		text, _ := tokenFor(t, cfg, "alice", time.Minute, auth.Grants{})
		c := socketiotest.Dial(t, url)
		c.Send("40" + text)
		return c.Read()
	}
	if got := enter(cfg); !strings.HasPrefix(got, "40") {
		t.Fatalf("got %q", got)
	}
	next := withSecret()
	next.Auth.JWT.Secret = strings.Repeat("n", 32)
	next.Limits.ConnectionsPerUser = 1
	bad := next
	bad.Auth.JWT.KeyFile = "nope"
	if err := g.Reload(bad); err == nil {
		t.Error("got nil for a file that is not there")
	}
	if got := enter(cfg); !strings.HasPrefix(got, "40") {
		t.Errorf("after a reload that failed: got %q", got)
	}
	if err := g.Reload(next); err != nil {
		t.Fatal(err)
	}
	if got := enter(cfg); !strings.Contains(got, "unauthorized") {
		t.Errorf("with the old key: got %q", got)
	}
	if got := enter(next); !strings.Contains(got, "too_many_connections") {
		t.Errorf("with the new key, and the new limit: got %q", got)
	}
	for _, key := range gateKeys() {
		if s := newSchema(); !s.sections[key] && s.byKey[key].key == "" {
			t.Errorf("%s is no key", key)
		}
	}
}

// A server that lets everyone in says so at the start.
func TestOpenGate(t *testing.T) {
	for cfg, want := range map[*Config]bool{new(defaultConfig()): true, new(withSecret()): false} {
		var log bytes.Buffer
		g, err := openGate(*cfg, gateHooks{}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		g.Close()
		if got := strings.Contains(log.String(), "level=WARN msg=\"no authentication: anyone can be anyone\""); got != want {
			t.Errorf("%s: the log says %q", cfg.Auth.Mode, &log)
		}
	}
	cfg := defaultConfig()
	cfg.Server.TLS = ServerTLS{CertFile: "nope", KeyFile: "nope"}
	if _, err := openGate(cfg, gateHooks{}, slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "server.tls: ") {
		t.Errorf("got %v", err)
	}
}

// skip returns r behind its first n bytes.
func skip(r io.Reader, n int64) io.Reader {
	_, _ = io.CopyN(io.Discard, r, n)
	return r
}
