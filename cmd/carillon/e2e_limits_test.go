package main_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

// hasty has an instance not wait long for clients that do not poll any more.
const hasty = "CARILLON_SERVER__SHUTDOWN_TIMEOUT=1s"

// send opens a connection, writes, and returns the answer, read to its end.
func send(t *testing.T, addr, request string) (*http.Response, string) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(conn, request) // it may not want to read it all
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, ""
	}
	defer res.Body.Close()
	var body []byte
	if res.StatusCode != http.StatusSwitchingProtocols {
		body, _ = io.ReadAll(res.Body)
	}
	return res, string(body)
}

func withHeader(request, line string) string {
	return strings.Replace(request, "Host: x\r\n", "Host: x\r\n"+line+"\r\n", 1)
}

// One client that connects too often or too much is told so, and others are not
// disturbed: the addresses come from a proxy that is trusted.
func TestConnectionLimits(t *testing.T) {
	a := startInstance(t, "node-a", hasty,
		"CARILLON_SERVER__TRUSTED_PROXIES=127.0.0.1", "CARILLON_SERVER__CORS__ORIGINS=https://app.example.com",
		"CARILLON_LIMITS__CONNECTIONS=5", "CARILLON_LIMITS__CONNECTIONS_PER_ADDRESS=3",
		"CARILLON_LIMITS__CONNECTIONS_PER_USER=2", "CARILLON_LIMITS__ADDRESS_HANDSHAKES_PER_SECOND=1", "CARILLON_LIMITS__ADDRESS_HANDSHAKES_BURST=4")
	from := func(addr, request string) (int, string, http.Header) {
		t.Helper()
		res, body := send(t, a.addr, withHeader(request, "Origin: https://app.example.com\r\nX-Forwarded-For: 10.1.1.1, "+addr))
		if res == nil {
			t.Fatal("no answer")
		}
		return res.StatusCode, body, res.Header
	}
	for range 3 {
		if status, body, _ := from("192.0.2.1", pollRequest); status != 200 {
			t.Fatalf("answered %d %s", status, body)
		}
	}
	status, body, h := from("192.0.2.1", pollRequest)
	if status != 429 || body != `{"code":4,"message":"too many connections from this address: at most 3"}` || h.Get("Retry-After") != "5" ||
		h.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
		t.Errorf("one more: answered %d %s, %v", status, body, h)
	}
	if status, body, _ = from("192.0.2.1", pollRequest); status != 429 || !strings.Contains(body, "at most 1 a second") {
		t.Errorf("too fast: answered %d %s", status, body)
	}
	for range 2 { // another address, and by WebSocket, which end with the connection
		if status, body, _ := from("192.0.2.2", pollRequest); status != 200 {
			t.Errorf("from another address: answered %d %s", status, body)
		}
	}
	status, body, h = from("192.0.2.3", wsRequest)
	if status != 503 || !strings.Contains(body, "this server is full: at most 5") && body != "Forbidden" || h.Get("Retry-After") == "" {
		t.Errorf("a full node: answered %d %q, %v", status, body, h)
	}
	// Nobody but the proxy is believed: see the tests of the package front.
}

func TestUserLimits(t *testing.T) {
	a := startInstance(t, "node-a", "CARILLON_LIMITS__CONNECTIONS_PER_USER=2",
		"CARILLON_LIMITS__SOCKET__MESSAGES_PER_SECOND=1", "CARILLON_LIMITS__SOCKET__MESSAGES_BURST=3",
		"CARILLON_LIMITS__USER__BYTES_PER_SECOND=1000", "CARILLON_LIMITS__USER__BYTES_BURST=2000")
	one := wantIn(t, a.url(), `{"user":"alice"}`, "alice")
	wantIn(t, a.url(), `{"user":"alice"}`, "alice")
	wantOut(t, a.url(), `{"user":"alice"}`, "too_many_connections")
	bob := wantIn(t, a.url(), `{"user":"bob"}`, "bob")
	one.Leave()
	eventually(t, "a place is free again", func() bool {
		_, answer := connect(t, a.url(), `{"user":"alice"}`)
		return strings.HasPrefix(answer, "40{")
	})

	ack := func(c *socketiotest.Client, packet string) string {
		t.Helper()
		c.Send("429" + packet)
		return awaitFrame(c, "439[")
	}
	carol := wantIn(t, a.url(), `{"user":"carol"}`, "carol")
	for range 3 {
		if got := ack(carol, `["message",{"to":"nobody"}]`); !strings.HasPrefix(got, `439[{"ok":true`) {
			t.Errorf("got %s", got)
		}
	}
	if got := ack(carol, `["message",{"to":"nobody"}]`); !strings.Contains(got, `"code":"rate_limited"`) ||
		!strings.Contains(got, `"limit":"socket_messages"`) || !strings.Contains(got, `"retryAfter":`) {
		t.Errorf("too fast: acknowledged %s", got)
	}
	carol.Send(`42["message",{"to":"nobody"}]`) // without an acknowledgement it is told too
	if got := awaitFrame(carol, `42["rate_limited",`); !strings.Contains(got, `"event":"message"`) {
		t.Errorf("got %s", got)
	}
	dan := wantIn(t, a.url(), `{"user":"dan"}`, "dan")
	if got := ack(dan, `["message",{"to":"x","data":"`+strings.Repeat("x", 2500)+`"}]`); !strings.Contains(got, "at most 2000 at once") {
		t.Errorf("too large: acknowledged %s", got)
	}
	if got := ack(bob, `["presence:list"]`); !strings.HasPrefix(got, `439[{"ok":true`) {
		t.Errorf("another user: acknowledged %s", got)
	}
}

// awaitFrame reads until a frame comes that begins with prefix.
func awaitFrame(c *socketiotest.Client, prefix string) string {
	for {
		if frame := c.Read(); strings.HasPrefix(frame, prefix) {
			return frame
		}
	}
}

// Web pages of other origins are refused, by WebSocket too.
func TestCrossOrigin(t *testing.T) {
	a := startInstance(t, "node-a", hasty, "CARILLON_SERVER__ORIGINS=https://app.example.com,https://*.example.org")
	for origin, ok := range map[string]bool{
		"": true, "Origin: https://app.example.com": true, "Origin: https://a.example.org": true, "Origin: http://x": true,
		"Origin: https://evil.com": false, "Origin: null": false, "Origin: https://app.example.com.evil.com": false,
		"Origin: https://app.example.com\r\nOrigin: https://evil.com": false, "Origin:": false,
	} {
		for request, want := range map[string][2]int{pollRequest: {200, 403}, wsRequest: {101, 400}} {
			if origin != "" {
				request = withHeader(request, origin)
			}
			res, body := send(t, a.addr, request)
			status := want[1]
			if ok {
				status = want[0]
			}
			if res == nil || res.StatusCode != status || !ok && !strings.Contains(body, "rigin not allowed") && status == 403 {
				t.Errorf("%q: answered %v %s, want %d", origin, res, body, status)
			}
		}
	}
}

// Odd paths and headers are answered with an error, or as what they mean, and
// let nobody in who shows no token.
func TestOddities(t *testing.T) {
	a := startInstance(t, "node-a", withTokens(hasty)...)
	token := tokenOf(t, withTokens(), "alice")
	long := strings.Repeat("x", 40<<10)
	for _, request := range []string{
		"GET /socket.io/../socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET //socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /socket.io/%2e%2e/%00?EIO=4&transport=polling&sid=%ff HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=polling;sid=x%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /..%2f..%2fetc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET http://evil.com/socket.io/?EIO=4&transport=abc HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT evil.com:80 HTTP/1.1\r\nHost: x\r\n\r\n",
		"TRACE /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=polling HTTP/9.9\r\nHost: x\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=polling&sid=" + long + " HTTP/1.1\r\nHost: x\r\n\r\n",
		withHeader(pollRequest, "X: "+long),
		withHeader(pollRequest, "X : y"),
		withHeader(pollRequest, "Content-Length: 1\r\nContent-Length: 2"),
		withHeader(pollRequest, "Transfer-Encoding: chunked, identity"),
		withHeader(wsRequest, "Sec-WebSocket-Version: 12"),
		"POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
	} {
		if res, body := send(t, a.addr, request); res != nil && (res.StatusCode >= 500 && res.StatusCode != 505 && res.StatusCode != 501 || res.StatusCode < 300 && strings.Contains(body, `"sid"`)) {
			t.Errorf("%.80q: answered %s %.200s", request, res.Status, body)
		}
	}
	// A session is not yet a user: what has no valid token stays outside, and
	// the handshake's words for proxies mean nothing.
	for _, line := range []string{
		"Authorization: Bearer " + token + "\r\nAuthorization: Bearer " + token, "Authorization: Bearer", "Authorization: " + token,
		"X-User: alice", "X-Forwarded-User: alice", "Proxy-Authorization: Bearer " + token, "Cookie: token=" + token,
		"Authorization: Basic " + token, "Authorization: Bearer " + token + "x", "Authorization: Bearer " + strings.ToUpper(token),
	} {
		c, sid := pollSession(t, a.addr, line)
		if got := c.join(t, sid); !strings.HasPrefix(got, `44{"message":`) {
			t.Errorf("%.60q: got %q, want to be refused", line, got)
		}
	}
	c, sid := pollSession(t, a.addr, "Authorization: bearer "+token)
	if got := c.join(t, sid); !strings.HasPrefix(got, `40{"sid":`) {
		t.Errorf("with a token: got %q", got)
	}
}

// poller speaks to an address by polling.
type poller struct{ addr string }

// pollSession opens a session with a header.
func pollSession(t *testing.T, addr, line string) (poller, string) {
	t.Helper()
	res, body := send(t, addr, withHeader(pollRequest, line))
	if res == nil || res.StatusCode != 200 {
		t.Fatalf("answered %v %s", res, body)
	}
	_, rest, _ := strings.Cut(body, `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	return poller{addr}, sid
}

// join asks for "/" and returns the answer.
func (p poller) join(t *testing.T, sid string) string {
	t.Helper()
	if res, body := send(t, p.addr, post(sid, "40")); res == nil || res.StatusCode != 200 {
		t.Fatalf("answered %v %s", res, body)
	}
	_, body := send(t, p.addr, "GET /socket.io/?EIO=4&transport=polling&sid="+sid+" HTTP/1.1\r\nHost: x\r\n\r\n")
	return body
}

// What is secret is in no log, at any level, wherever it was sent.
func TestSecretsNotLogged(t *testing.T) {
	a := startInstance(t, "node-a", withTokens("CARILLON_LOG__LEVEL=debug", "CARILLON_AUTH__JWT__QUERY=token",
		"CARILLON_ADMIN__PASSWORD_HASH=$2a$04$zmZh2KuhdN5TL.2hrEQgQ.nb5MdD.3jXdBGwaqJjSDgSMoOBlOqxy")...)
	token := tokenOf(t, withTokens(), "alice")
	wantIn(t, a.url(), `{"token":"`+token+`"}`, "alice").Send(`420["auth:refresh",{"token":"` + token + `"}]`)
	for _, bad := range []string{token + "x", strings.Replace(token, ".", "..", 1), token[:len(token)-5]} {
		wantOut(t, a.url(), `{"token":"`+bad+`"}`, "unauthorized")
	}
	wantOut(t, a.url(), `{"token":["`+token+`"]}`, "invalid")
	for _, line := range []string{"Authorization: Bearer " + token, "Cookie: c=" + token} {
		c, sid := pollSession(t, a.addr, line)
		c.join(t, sid)
	}
	for _, request := range []string{
		"GET /socket.io/?EIO=4&transport=polling&token=" + token + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /socket.io/?EIO=9&transport=polling&token=" + token + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=polling&token=" + token + "\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
		withHeader(wsRequest, "Authorization: Bearer "+token),
		withHeader(pollRequest, "Authorization : Bearer "+token),
	} {
		send(t, a.addr, request)
	}
	a.stop(t)
	log := a.output()
	if !strings.Contains(log, "client refused") {
		t.Error("the log tells nothing: nothing is tested")
	}
	for _, part := range append(strings.Split(token, ".")[1:], jwtSecret, "zmZh2KuhdN5TL") {
		if i := strings.Index(log, part); i >= 0 {
			t.Errorf("the log has a secret: %s", log[max(0, i-200):i+40])
		}
	}
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// TestHalfOpen has 10,000 connections do nothing, or send a header byte by
// byte, while two clients chat.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	a, b := startPairOver(t, "redis", "REDIS_URL="+testRedis(t), "CARILLON_LIMITS__HEADER_TIMEOUT=3s", "CARILLON_LIMITS__HALF_OPEN=500")
	n := 10_000
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil && files.Cur < uint64(n)+1000 {
		n = int(files.Cur) / 2
	}
	runScript(t, asks{"worst": func(t *testing.T) { crowd(t, a.addr, n) }}, "chat.mjs", a.url(), b.url())
}

// crowd opens n connections, drips into every tenth, and returns when the
// server has closed them all.
func crowd(t *testing.T, addr string, n int) {
	ctx, cancel := context.WithCancel(t.Context())
	var dripping, reading sync.WaitGroup
	var mu sync.Mutex
	open := n
	for i := range n {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			t.Errorf("connection %d: %v", i, err)
			open -= n - i
			break
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		if i%10 == 0 {
			dripping.Go(func() { // ends with conn or ctx
				for _, b := range []byte(pollRequest[:len(pollRequest)-2] + "X: " + strings.Repeat("y", 1000)) {
					if _, err := conn.Write([]byte{b}); err != nil {
						return
					}
					select {
					case <-ctx.Done():
						return
					case <-time.After(100 * time.Millisecond):
					}
				}
			})
		}
		reading.Go(func() { // ends with conn
			if _, err := io.Copy(io.Discard, conn); err == nil || strings.Contains(err.Error(), "reset") {
				mu.Lock()
				open--
				mu.Unlock()
			}
		})
	}
	reading.Wait()
	cancel()
	dripping.Wait()
	if open != 0 {
		t.Errorf("%d of %d connections were left open", open, n)
	}
	t.Logf("%d connections were opened, and closed by the server", n)
}

// A bomb is not inflated: neither an HTTP body nor a WebSocket frame that is
// said to be compressed, which nobody agreed on.
func TestCompressionBombs(t *testing.T) {
	a, b := startPairOver(t, "redis", "REDIS_URL="+testRedis(t))
	// A hundred members of a MiB each are one file of gzip (RFC 1952, section 2.2).
	var member bytes.Buffer
	w := gzip.NewWriter(&member)
	_, _ = w.Write(make([]byte, 1<<20))
	w.Close()
	bomb := strings.Repeat(member.String(), 100)
	runScript(t, asks{"worst": func(t *testing.T) {
		for range 20 {
			_, sid := pollSession(t, a.addr, "Accept-Encoding: gzip")
			request := strings.Replace(post(sid, bomb), "Host: x\r\n", "Host: x\r\nContent-Encoding: gzip\r\n", 1)
			if res, body := send(t, a.addr, request); res != nil && res.StatusCode != 400 && res.StatusCode != 413 {
				t.Errorf("answered %s %s", res.Status, body)
			}
			offer := withHeader(wsRequest, "Sec-WebSocket-Extensions: permessage-deflate")
			if res, _ := send(t, a.addr, offer+frame(0xc1, bomb)); res == nil || res.Header.Get("Sec-WebSocket-Extensions") != "" {
				t.Errorf("got %v, want no compression agreed on", res)
			}
		}
		if peak := peakMemory(t, a.running.Process.Pid); peak > 600<<20 {
			t.Errorf("the server took %d MiB", peak>>20)
		}
	}}, "chat.mjs", a.url(), b.url())
}

// peakMemory is the most memory that a process had, in bytes.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("this system does not tell: %v", err)
	}
	fields, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(text, '\n')))).ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	var kib int
	if _, err := fmt.Sscanf(fields.Get("Vmhwm"), "%d kB", &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// TestTLS has a client talk over wss and https, and another over them once the
// certificate was replaced.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	first := newCertificate(t, dir)
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a := startInstance(t, "node-a", "CARILLON_SERVER__TLS__CERT_FILE="+cert, "CARILLON_SERVER__TLS__KEY_FILE="+key)
	served := func() string {
		conn, err := tls.Dial("tcp", a.addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if v := conn.ConnectionState().Version; v < tls.VersionTLS12 {
			t.Errorf("TLS version %x", v)
		}
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	if got := served(); got != first {
		t.Errorf("certificate %s, want %s", got, first)
	}
	runScript(t, nil, "tls.mjs", "https://"+a.addr, cert)
	second := newCertificate(t, dir)
	eventually(t, "the new certificate is served", func() bool { return served() == second })
	runScript(t, nil, "tls.mjs", "https://"+a.addr, cert)

	if res, _ := send(t, a.addr, pollRequest); res == nil || res.StatusCode != 400 {
		t.Errorf("plain HTTP: answered %v", res)
	}
	if _, err := tls.Dial("tcp", a.addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}
