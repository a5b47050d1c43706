package main_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/carillonhq/carillon/transport/socketio/socketiotest"
)

const jwtSecret = "0123456789abcdef0123456789abcdef"

// withTokens configures instances that believe tokens.
func withTokens(more ...string) []string {
	return append([]string{
		"CARILLON_AUTH__MODE=jwt", "CARILLON_AUTH__JWT__ALGORITHMS=HS256", "CARILLON_AUTH__JWT__SECRET=" + jwtSecret,
		"CARILLON_AUTH__JWT__LEEWAY=0s", "CARILLON_AUTH__WARNING=2s", "CARILLON_SERVER__NAMESPACES=/team-*",
		// Polls, which last longer, are exempt.
		"CARILLON_LIMITS__HEADER_TIMEOUT=2s", "CARILLON_LIMITS__REQUEST_TIMEOUT=3s",
	}, more...)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"websocket", "polling"} {
		t.Run(mode, func(t *testing.T) {
			a, b := startPairOver(t, "redis", withTokens("REDIS_URL="+testRedis(t))...)
			runScript(t, nil, "auth.mjs", mode, a.url(), b.url(), jwtSecret)
		})
	}
}

// tokenOf has the command print a token.
func tokenOf(t *testing.T, environ []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), serverBinary(), append([]string{"token"}, args...)...)
	cmd.Env = append(ourEnviron(), environ...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// connect joins "/" with auth and returns the answer.
func connect(t *testing.T, url, auth string) (*socketiotest.Client, string) {
	t.Helper()
	c := socketiotest.Dial(t, url)
	c.Send("40" + auth)
	return c, c.Read()
}

func wantIn(t *testing.T, url, auth, user string) *socketiotest.Client {
	t.Helper()
	c, answer := connect(t, url, auth)
	if !strings.HasPrefix(answer, `40{"sid":`) {
		t.Fatalf("got %q, want to be let in", answer)
	}
	if session := c.Read(); !strings.HasPrefix(session, `42["session",{"user":"`+user+`"`) {
		t.Fatalf("got %q, want the session of %s", session, user)
	}
	return c
}

func wantOut(t *testing.T, url, auth, code string) {
	t.Helper()
	_, answer := connect(t, url, auth)
	if !strings.HasPrefix(answer, `44{"message":"`) || !strings.Contains(answer, `"code":"`+code+`"`) {
		t.Errorf("got %q, want connect_error with %s", answer, code)
	}
}

// A keyRing is a key pair at a JWKS URL and in a file.
type keyRing struct {
	file, jwk string
}

func newKeyRing(t *testing.T, kid string) keyRing {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), kid+".pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: own}), 0o600); err != nil {
		t.Fatal(err)
	}
	return keyRing{file, fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":%q,"x":%q}`, kid, base64.RawURLEncoding.EncodeToString(public))}
}

// TestJWKSRotates has an issuer change its keys while clients come and go.
func TestJWKSRotates(t *testing.T) {
	t.Parallel()
	var keys atomic.Value // string
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, keys.Load())
	}))
	defer issuer.Close()
	one, two := newKeyRing(t, "one"), newKeyRing(t, "two")
	keys.Store(`{"keys":[` + one.jwk + `]}`)
	environ := []string{
		"CARILLON_AUTH__MODE=jwt", "CARILLON_AUTH__JWT__ALGORITHMS=EdDSA",
		"CARILLON_AUTH__JWT__JWKS_URL=" + issuer.URL, "CARILLON_AUTH__JWT__JWKS_REFRESH=10s",
	}
	a := startInstance(t, "node-a", environ...)
	auth := func(k keyRing, kid, user string) string {
		return `{"token":"` + tokenOf(t, environ, "--key", k.file, "--kid", kid, user) + `"}`
	}
	old, next := auth(one, "one", "alice"), auth(two, "two", "bob")
	alice := wantIn(t, a.url(), old, "alice")

	wantOut(t, a.url(), next, "unauthorized")
	keys.Store(`{"keys":[` + one.jwk + `,` + two.jwk + `]}`)
	eventually(t, "the new key counts", func() bool {
		_, answer := connect(t, a.url(), next)
		return strings.HasPrefix(answer, "40{")
	})
	wantIn(t, a.url(), old, "alice")

	keys.Store(`{"keys":[` + two.jwk + `]}`)
	eventually(t, "the old key counts no more", func() bool {
		_, answer := connect(t, a.url(), old)
		return strings.HasPrefix(answer, "44{")
	})
	wantIn(t, a.url(), next, "bob")
	issuer.Close() // what is known is kept
	wantIn(t, a.url(), next, "bob")
	alice.Send(`420["presence:list"]`) // whose key has gone, and whose token has not
	eventually(t, "alice is heard", func() bool { return strings.HasPrefix(alice.Read(), `430[{"ok":true`) })
}

// until waits until what happens.
// TestBackEndHangs has a webhook's receiver allow, deny, hang, and come back.
func TestBackEndHangs(t *testing.T) {
	t.Parallel()
	var hang atomic.Bool
	var calls atomic.Int32
	release := make(chan struct{})
	back := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		var question struct {
			Auth    struct{ Ticket string }
			Address string
		}
		if err := json.NewDecoder(r.Body).Decode(&question); err != nil || question.Address != "127.0.0.1" {
			t.Errorf("asked %+v, %v", question, err)
		}
		if hang.Load() {
			<-release
			return
		}
		if question.Auth.Ticket == "" {
			fmt.Fprint(w, `{"allow":false,"code":"ticket_needed","message":"buy one"}`)
			return
		}
		fmt.Fprintf(w, `{"allow":true,"user":%q,"can":["presence"]}`, question.Auth.Ticket)
	}))
	defer back.Close()
	defer close(release)
	a := startInstance(t, "node-a", "CARILLON_AUTH__MODE=webhook", "CARILLON_AUTH__WEBHOOK__URL="+back.URL,
		"CARILLON_AUTH__WEBHOOK__SECRET="+jwtSecret, "CARILLON_AUTH__WEBHOOK__TIMEOUT=500ms",
		"CARILLON_AUTH__WEBHOOK__FAILURES=3", "CARILLON_AUTH__WEBHOOK__PAUSE=1s")
	alice := wantIn(t, a.url(), `{"ticket":"alice"}`, "alice")
	wantOut(t, a.url(), `{}`, "ticket_needed")
	alice.Send(`420["message",{"to":"bob"}]`)
	eventually(t, "an answer grants less", func() bool { return strings.Contains(alice.Read(), `"code":"forbidden"`) })

	hang.Store(true)
	for range 3 {
		wantOut(t, a.url(), `{"ticket":"bob"}`, "unavailable")
	}
	before, start := calls.Load(), time.Now()
	for range 5 {
		wantOut(t, a.url(), `{"ticket":"bob"}`, "unavailable")
	}
	if more := calls.Load() - before; more > 1 || time.Since(start) > 2*time.Second {
		t.Errorf("%d more calls in %v, want the back end left alone", more, time.Since(start))
	}
	alice.Send(`421["presence:list"]`)
	eventually(t, "who is in is not disturbed", func() bool { return strings.HasPrefix(alice.Read(), `431[{"ok":true`) })

	hang.Store(false)
	eventually(t, "the back end is asked again", func() bool {
		_, answer := connect(t, a.url(), `{"ticket":"bob"}`)
		return strings.HasPrefix(answer, "40{")
	})
}

// TestKeysReload has a secret in a file change while the server runs.
func TestKeysReload(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	put := func(secret string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	environ := []string{"CARILLON_AUTH__MODE=jwt", "CARILLON_AUTH__JWT__ALGORITHMS=HS256", "CARILLON_AUTH__JWT__SECRET_FILE=" + file}
	put(jwtSecret)
	a := startInstance(t, "node-a", environ...)
	old := `{"token":"` + tokenOf(t, environ, "alice") + `"}`
	alice := wantIn(t, a.url(), old, "alice")

	reload := func() {
		t.Helper()
		if err := a.running.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	put("short") // is refused, and all stays
	reload()
	eventually(t, "the log says that it was refused", func() bool {
		return strings.Contains(a.output(), "auth.jwt.secret: expected a secret of at least 32 bytes")
	})
	wantIn(t, a.url(), old, "alice")

	put(strings.Repeat("n", 32))
	next := `{"token":"` + tokenOf(t, environ, "bob") + `"}`
	reload()
	eventually(t, "the new secret counts", func() bool {
		_, answer := connect(t, a.url(), next)
		return strings.HasPrefix(answer, "40{")
	})
	wantOut(t, a.url(), old, "unauthorized")
	alice.Send(`420["presence:list"]`) // who is in stays in
	eventually(t, "alice is heard", func() bool { return strings.HasPrefix(alice.Read(), `430[{"ok":true`) })
}
