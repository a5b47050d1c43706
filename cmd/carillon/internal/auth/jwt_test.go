package auth_test

import (
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/auth"
)

// shows is a Request with a token in auth.
func shows(token string) auth.Request {
	text, _ := json.Marshal(map[string]string{"token": token})
	return auth.Request{Namespace: "/", Auth: text, Header: http.Header{}, Query: url.Values{}}
}

func withSecret() auth.Config {
	return auth.Config{Mode: auth.JWT, JWT: auth.JWTConfig{Algorithms: []string{"HS256"}, Secret: secret, RequireExpiry: true}}
}

func mint(t *testing.T, s *auth.Signer, ttl time.Duration, claims map[string]any) string {
	t.Helper()
	token, err := s.Mint("alice", ttl, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Every algorithm, by the key that it needs.
func TestAlgorithms(t *testing.T) {
	rsa, ed := newRSA(t), newEd(t)
	curves := map[string]pair{
		"ES256": newEC(t, elliptic.P256()), "ES384": newEC(t, elliptic.P384()), "ES512": newEC(t, elliptic.P521()),
	}
	var all strings.Builder // one file for all keys
	for _, p := range append([]pair{rsa, ed}, curves["ES256"], curves["ES384"], curves["ES512"]) {
		all.WriteString(p.PEM)
	}
	file := filepath.Join(t.TempDir(), "keys.pem")
	if err := os.WriteFile(file, []byte(all.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	a := open(t, auth.Config{Mode: auth.JWT, JWT: auth.JWTConfig{Algorithms: auth.Algorithms(), Secret: secret, KeyFile: file}}, auth.Options{})
	for _, algorithm := range auth.Algorithms() {
		key := []byte(secret)
		switch algorithm[:2] {
		case "RS", "PS":
			key = rsa.Private
		case "ES":
			key = curves[algorithm].Private
		case "Ed":
			key = ed.Private
		}
		id, err := a.Authenticate(t.Context(), shows(mint(t, signer(t, algorithm, "", key), time.Minute, nil)))
		if err != nil || id.User != "alice" || id.Expires.IsZero() {
			t.Errorf("%s: got %+v, %v", algorithm, id, err)
		}
	}
}

// forge is a token of that header and payload, with a signature that says
// nothing.
func forge(header, payload, signature string) string {
	b := base64.RawURLEncoding
	return b.EncodeToString([]byte(header)) + "." + b.EncodeToString([]byte(payload)) + "." + b.EncodeToString([]byte(signature))
}

func TestRefusedTokens(t *testing.T) {
	rsa, ec := newRSA(t), newEC(t, elliptic.P256())
	cfg := auth.Config{Mode: auth.JWT, JWT: auth.JWTConfig{
		Algorithms: []string{"HS256", "RS256", "ES256"}, Secret: secret, PublicKey: rsa.PEM + ec.PEM,
		Issuer: "us", Audience: []string{"a", "b"}, RequireExpiry: true, Leeway: 10 * time.Second,
	}}
	ours := signer(t, "HS256", "", []byte(secret))
	good := map[string]any{"iss": "us", "aud": "b"}
	with := func(name string, value any) map[string]any {
		m := map[string]any{name: value}
		for k, v := range good {
			if _, set := m[k]; !set {
				m[k] = v
			}
		}
		return m
	}
	valid := mint(t, ours, time.Minute, good)
	parts := strings.Split(valid, ".")
	payload := `{"sub":"alice","iss":"us","aud":"a","exp":32503680000}`

	var told []string
	a := open(t, cfg, auth.Options{Hooks: auth.Hooks{Refused: func(code string) { told = append(told, code) }}})
	if _, err := a.Authenticate(t.Context(), shows(valid)); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, token, code, part string }{
		{"missing", "", "unauthorized", "a token is needed"},
		{"no token", "x", "unauthorized", "malformed"},
		{"two parts", parts[0] + "." + parts[1], "unauthorized", "malformed"},
		{"five parts, as of an encrypted one", valid + ".a.b", "unauthorized", "malformed"},
		{"no signature", parts[0] + "." + parts[1] + ".", "unauthorized", "signature"},
		{"another's signature", parts[0] + "." + parts[1] + "." + strings.Split(mint(t, ours, time.Hour, good), ".")[2], "unauthorized", "signature"},
		{"a changed payload", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "." + parts[2], "unauthorized", "signature"},
		{"a forger's secret", mint(t, signer(t, "HS256", "", []byte("another secret, of as many bytes")), time.Minute, good), "unauthorized", "signature"},
		{"none", forge(`{"alg":"none"}`, payload, ""), "unauthorized", "algorithm"},
		{"NONE", forge(`{"alg":"NoNe"}`, payload, ""), "unauthorized", "verified"},
		{"no algorithm", forge(`{}`, payload, ""), "unauthorized", "verified"},
		{"one that is not allowed", mint(t, signer(t, "HS512", "", []byte(secret)), time.Minute, good), "unauthorized", "algorithm"},
		{"a public key for a secret", mint(t, signer(t, "HS256", "", []byte(rsa.PEM)), time.Minute, good), "unauthorized", "signature"},
		{"an RSA signature said to be of HS", forge(`{"alg":"HS256"}`, payload, "x"), "unauthorized", "signature"},
		{"another RSA algorithm", mint(t, signer(t, "PS256", "", rsa.Private), time.Minute, good), "unauthorized", "algorithm"},
		{"another curve's key", forge(`{"alg":"ES256"}`, payload, strings.Repeat("\x00", 64)), "unauthorized", "signature"},
		{"expired", mint(t, ours, -11*time.Second, good), "token_expired", "expired"},
		{"expired and forged", mint(t, signer(t, "HS256", "", []byte("another secret, of as many bytes")), -time.Hour, good), "unauthorized", "signature"},
		{"not yet valid", mint(t, ours, time.Hour, with("nbf", time.Now().Add(time.Minute).Unix())), "unauthorized", "not valid yet"},
		{"for ever", mint(t, ours, 0, good), "unauthorized", "lacks a claim"},
		{"another issuer", mint(t, ours, time.Minute, with("iss", "them")), "unauthorized", "issuer"},
		{"another audience", mint(t, ours, time.Minute, with("aud", []string{"c"})), "unauthorized", "audience"},
		{"nobody", mint(t, ours, time.Minute, with("sub", "")), "unauthorized", "the token's sub: a name expected"},
		{"a number", mint(t, ours, time.Minute, with("sub", 7)), "unauthorized", "malformed"},
		{"an unprintable name", mint(t, ours, time.Minute, with("sub", "a\x00")), "unauthorized", "sub"},
		{"a device that is none", mint(t, ours, time.Minute, with("device", strings.Repeat("x", 129))), "unauthorized", "device"},
		{"rooms that are none", mint(t, ours, time.Minute, with("rooms", "all")), "unauthorized", "malformed"},
		{"far too long", strings.Repeat("x", 17<<10), "unauthorized", "longer than"},
	}
	told = nil
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := a.Authenticate(t.Context(), shows(c.token))
			wantRefused(t, err, c.code, c.part)
		})
	}
	if len(told) != len(cases) {
		t.Errorf("the hook heard of %d, want %d", len(told), len(cases))
	}
}

// Where a token may stand, and which of several counts.
func TestWhereTokensAre(t *testing.T) {
	s := signer(t, "HS256", "", []byte(secret))
	token := func(user string) string {
		text, err := s.Mint(user, time.Minute, nil)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	cfg := withSecret()
	open := func(query string) *auth.Authenticator { cfg.JWT.Query = query; return open(t, cfg, auth.Options{}) }
	plain, query := open(""), open("access_token")
	header := func(values ...string) http.Header { return http.Header{"Authorization": values} }

	for _, c := range []struct {
		name    string
		a       *auth.Authenticator
		auth    string
		header  http.Header
		query   url.Values
		refresh bool
		user    string // "" for refused
		part    string
	}{
		{name: "header", a: plain, header: header("Bearer " + token("h")), user: "h"},
		{name: "header, scheme in capitals", a: plain, header: header("BEARER  " + token("h") + " "), user: "h"},
		{name: "auth wins", a: plain, auth: `{"token":"` + token("a") + `"}`, header: header("Bearer " + token("h")), user: "a"},
		{name: "an empty one in auth is not passed over", a: plain, auth: `{"token":""}`, header: header("Bearer " + token("h")), part: "a token is needed"},
		{name: "null in auth is none", a: plain, auth: `{"token":null}`, header: header("Bearer " + token("h")), user: "h"},
		{name: "two headers", a: plain, header: header("Bearer "+token("h"), "Bearer "+token("i")), part: "more than one"},
		{name: "another scheme", a: plain, header: header("Basic " + token("h")), part: "a token is needed"},
		{name: "no scheme", a: plain, header: header(token("h")), part: "a token is needed"},
		{name: "query, not allowed", a: plain, query: url.Values{"token": {token("q")}, "access_token": {token("q")}}, part: "a token is needed"},
		{name: "query", a: query, query: url.Values{"access_token": {token("q")}}, user: "q"},
		{name: "header before query", a: query, header: header("Bearer " + token("h")), query: url.Values{"access_token": {token("q")}}, user: "h"},
		{name: "auth is no object", a: plain, auth: `"` + token("a") + `"`, part: "auth: an object expected"},
		{name: "a number", a: plain, auth: `{"token":5}`, part: "auth.token: a string expected"},
		{name: "a user's word is nothing", a: plain, auth: `{"user":"root"}`, part: "a token is needed"},
		{name: "no old header on refresh", a: plain, header: header("Bearer " + token("h")), refresh: true, part: "a token is needed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := auth.Request{Namespace: "/", Auth: json.RawMessage(c.auth), Header: c.header, Query: c.query, Refresh: c.refresh}
			id, err := c.a.Authenticate(t.Context(), r)
			if c.user == "" {
				code := auth.Unauthorized
				if strings.Contains(c.part, "expected") {
					code = auth.Invalid
				}
				wantRefused(t, err, code, c.part)
			} else if err != nil || id.User != c.user {
				t.Errorf("got %+v, %v; want %s", id, err, c.user)
			}
		})
	}
}

// Claims grant more or less than the configuration.
func TestGrants(t *testing.T) {
	s := signer(t, "HS256", "", []byte(secret))
	cfg := withSecret()
	cfg.Permissions = auth.Permissions{Namespaces: []string{"/"}, Rooms: []string{"lobby"}, Message: true}
	plain := open(t, cfg, auth.Options{})
	cfg.JWT.Claim = "https://example.com/carillon"
	nested := open(t, cfg, auth.Options{})
	grants := map[string]any{"device": "phone", "namespaces": []string{"/team-*"}, "rooms": []string{"dm:{user}:*"}, "can": []string{"presence", "fly"}}

	for _, c := range []struct {
		name      string
		a         *auth.Authenticator
		namespace string
		claims    map[string]any
		want      auth.Identity
	}{
		{"none", plain, "/", nil, auth.Identity{Permissions: cfg.Permissions}},
		{"all", plain, "/team-red", grants, auth.Identity{Device: "phone", Permissions: auth.Permissions{
			Namespaces: []string{"/team-*"}, Rooms: []string{"dm:{user}:*"}, Presence: true,
		}}},
		{"in a claim", nested, "/team-red", map[string]any{cfg.JWT.Claim: grants, "can": []string{"message"}}, auth.Identity{
			Device:      "phone",
			Permissions: auth.Permissions{Namespaces: []string{"/team-*"}, Rooms: []string{"dm:{user}:*"}, Presence: true},
		}},
		{"no such claim", nested, "/", grants, auth.Identity{Permissions: cfg.Permissions}},
		{"nothing", plain, "/", map[string]any{"rooms": []string{}, "can": []string{}}, auth.Identity{Permissions: auth.Permissions{Namespaces: []string{"/"}, Rooms: []string{}}}},
	} {
		r := shows(mint(t, s, time.Minute, c.claims))
		r.Namespace = c.namespace
		id, err := c.a.Authenticate(t.Context(), r)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		c.want.User, id.Expires = "alice", time.Time{}
		if !reflect.DeepEqual(id, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.name, id, c.want)
		}
	}
	r := shows(mint(t, s, time.Minute, grants))
	_, err := plain.Authenticate(t.Context(), r)
	wantRefused(t, err, auth.Forbidden, `namespace "/"`)

	// A device is the client's word unless the token has one.
	r = shows(mint(t, s, time.Minute, nil))
	r.Auth = json.RawMessage(strings.Replace(string(r.Auth), "{", `{"device":"laptop",`, 1))
	if id, err := plain.Authenticate(t.Context(), r); err != nil || id.Device != "laptop" {
		t.Errorf("got %+v, %v", id, err)
	}
	r.Auth = json.RawMessage(strings.Replace(string(r.Auth), "laptop", `\u0000`, 1))
	_, err = plain.Authenticate(t.Context(), r)
	wantRefused(t, err, auth.Invalid, "auth.device")
}

// A token counts until its end and the leeway, and so does the identity.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := withSecret()
		cfg.JWT.Leeway = 10 * time.Second
		a := open(t, cfg, auth.Options{})
		r := shows(mint(t, signer(t, "HS256", "", []byte(secret)), time.Minute, nil))
		id, err := a.Authenticate(t.Context(), r)
		if err != nil || time.Until(id.Expires) != 70*time.Second {
			t.Errorf("got %+v, %v; want it to expire in 70s", id, err)
		}
		time.Sleep(69 * time.Second)
		if _, err := a.Authenticate(t.Context(), r); err != nil {
			t.Errorf("within the leeway: %v", err)
		}
		time.Sleep(time.Second)
		_, err = a.Authenticate(t.Context(), r)
		wantRefused(t, err, auth.TokenExpired, "expired")
	})
}

// Keys change with a reload, or stay if the new ones are no good.
func TestReload(t *testing.T) {
	a := open(t, withSecret(), auth.Options{})
	old := shows(mint(t, signer(t, "HS256", "", []byte(secret)), time.Minute, nil))
	next := strings.Repeat("n", 32)
	cfg := withSecret()
	cfg.JWT.KeyFile = "nope.pem"
	if err := a.Reload(cfg); err == nil || !strings.Contains(err.Error(), "auth.jwt.key_file") {
		t.Errorf("got %v, want it refused", err)
	}
	if _, err := a.Authenticate(t.Context(), old); err != nil {
		t.Errorf("after a reload that failed: %v", err)
	}
	cfg = withSecret()
	cfg.JWT.Secret = next
	cfg.Permissions.Namespaces = []string{"/"}
	if err := a.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	_, err := a.Authenticate(t.Context(), old)
	wantRefused(t, err, auth.Unauthorized, "signature")
	id, err := a.Authenticate(t.Context(), shows(mint(t, signer(t, "HS256", "", []byte(next)), time.Minute, nil)))
	if err != nil || id.MayJoin("lobby") {
		t.Errorf("got %+v, %v", id, err)
	}
}

// A file with keys is read again when it changes, and is not believed while it
// is half written.
func TestKeyFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newEd(t), newEd(t)
		file := filepath.Join(t.TempDir(), "keys.pem")
		put := func(text string, second int64) {
			t.Helper()
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(file, time.Unix(second, 0), time.Unix(second, 0)); err != nil {
				t.Fatal(err)
			}
		}
		put(one.PEM, 1)
		a := open(t, auth.Config{Mode: auth.JWT, JWT: auth.JWTConfig{Algorithms: []string{"EdDSA"}, KeyFile: file}}, auth.Options{})
		counts := func(p pair) bool {
			_, err := a.Authenticate(t.Context(), shows(mint(t, signer(t, "EdDSA", "", p.Private), time.Minute, nil)))
			return err == nil
		}
		put(two.PEM[:40], 2)
		time.Sleep(5 * time.Second)
		if !counts(one) || counts(two) {
			t.Error("with half a file: want what was before")
		}
		put(two.PEM, 3)
		time.Sleep(5 * time.Second)
		if counts(one) || !counts(two) {
			t.Error("with another file: want what it has")
		}
	})
}

func TestRefusedKeys(t *testing.T) {
	rsa := newRSA(t)
	for name, c := range map[string]struct{ text, part string }{
		"nothing":       {"", "expected public keys in PEM"},
		"no PEM":        {"ssh-rsa s3cret", "expected public keys in PEM"},
		"a private key": {string(rsa.Private), "private key"},
		"garbage":       {"-----BEGIN PUBLIC KEY-----\nczNjcmV0\n-----END PUBLIC KEY-----\n", "no public key that can be read"},
		"short": {
			"-----BEGIN PUBLIC KEY-----\nMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDdlatRjRjogo3WojgGHFHYLugdUWAY9iR3fy4arWNA1KoS8kVw33cJibXr8bvwUAUparCwlvdbH6dvEOfou0/gCFQsHUfQrSDv+MuSUMAe8jzKE4qW+jK+xQU9a03GUnKHkkle+Q0pX/g6jXZ7r1/xAK5Do2kQ+X5xK9cipRgEKwIDAQAB\n-----END PUBLIC KEY-----\n",
			"an RSA key of 1024 bits; 2048 are needed",
		},
		"the second": {rsa.PEM + string(rsa.Private), "PEM block 2"},
	} {
		if err := auth.CheckPublicKeys([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.part) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want %q", name, err, c.part)
		}
	}
	if _, err := auth.Open(auth.Config{Mode: auth.JWT, JWT: auth.JWTConfig{Secret: secret}}, auth.Options{}); err == nil {
		t.Error("without algorithms: got nil, which the library would take for all of them")
	}
	if _, err := auth.Open(auth.Config{Mode: auth.JWT, JWT: auth.JWTConfig{Algorithms: []string{"none"}}}, auth.Options{}); err == nil {
		t.Error("with none: got nil")
	}
}

func TestNone(t *testing.T) {
	a := open(t, auth.Config{Mode: auth.None}, auth.Options{})
	id, err := a.Authenticate(t.Context(), auth.Request{Namespace: "/", Auth: json.RawMessage(`{"user":"alice","device":"tab"}`)})
	if err != nil || id.User != "alice" || id.Device != "tab" || !id.Expires.IsZero() || !id.MayJoin("any") {
		t.Errorf("got %+v, %v", id, err)
	}
	_, err = a.Authenticate(t.Context(), auth.Request{Namespace: "/", Auth: json.RawMessage(`{"token":"x"}`), Refresh: true})
	wantRefused(t, err, auth.Invalid, "nothing to refresh")
}

// A device is found however the client spells it in JSON, and not where it only
// looks like one.
func TestDeviceSpelled(t *testing.T) {
	a := open(t, auth.Config{Mode: auth.None}, auth.Options{})
	for text, want := range map[string]string{
		`{"user":"alice"}`:                                  "",
		`{"user":"alice","device":null}`:                    "",
		`{"user":"device"}`:                                 "",
		`{"user":"alice","my":{"device":"tab"}}`:            "",
		`{"user":"alice","\u0064evice":"tab"}`:              "tab",
		` {"user":"alice", "device" : "tab"}`:               "tab",
		`{"device":"old","user":"alice","device":"\u0074"}`: "t",
	} {
		id, err := a.Authenticate(t.Context(), auth.Request{Namespace: "/", Auth: json.RawMessage(text)})
		if err != nil || id.Device != want {
			t.Errorf("%s: got the device %q, %v, want %q", text, id.Device, err, want)
		}
	}
	for text, code := range map[string]string{
		`["user"]`: auth.InvalidUser, `"user"`: auth.InvalidUser, `{"user":"alice"`: auth.InvalidUser,
		`{"user":"alice","device":7}`: auth.Invalid,
	} {
		_, err := a.Authenticate(t.Context(), auth.Request{Namespace: "/", Auth: json.RawMessage(text)})
		wantRefused(t, err, code, "auth")
	}
}
