package main

import (
	"reflect"
	"strings"
	"testing"
)

// publicKeyPEM is one of Ed25519.
const publicKeyPEM = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA6ajBYvdTBpX9Q+fW7+LwllLbsHy7BSr6S+Ixtos1wj0=
-----END PUBLIC KEY-----`

// What a person reads whose authentication or limits cannot work.
func TestRefusedAuth(t *testing.T) {
	cases := []struct {
		name, file string
		want       []string // lines
	}{
		{
			name: "tokens without an algorithm", file: "auth: {mode: jwt}",
			want: []string{
				"default: auth.jwt.algorithms: expected one or more of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA with auth.mode jwt, got none",
			},
		},
		{
			name: "no algorithm at all", file: `auth: {mode: jwt, jwt: {algorithms: [none]}}`,
			want: []string{
				`x.yaml:1: auth.jwt.algorithms: expected some of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, got "none"`,
			},
		},
		{
			name: "a secret that can be guessed", file: `auth: {mode: jwt, jwt: {algorithms: [HS256], secret: s3cret}}`,
			want: []string{
				"x.yaml:1: auth.jwt.secret: expected a secret of at least 32 bytes, as auth.jwt.algorithms has HS (what was given is not shown)",
			},
		},
		{
			name: "a public key for a secret",
			file: "auth:\n  mode: jwt\n  jwt:\n    algorithms: [HS256]\n    secret: |\n      " + strings.ReplaceAll(publicKeyPEM, "\n", "\n      "),
			want: []string{"x.yaml:5: auth.jwt.secret: expected a secret, got a key in PEM, which others may know"},
		},
		{
			name: "no key", file: `auth: {mode: jwt, jwt: {algorithms: [ES256]}}`,
			want: []string{"x.yaml:1: auth.jwt.algorithms: need a public key: set auth.jwt.public_key, auth.jwt.key_file or auth.jwt.jwks_url"},
		},
		{
			name: "no PEM, and a URL with a password",
			file: "auth:\n  mode: jwt\n  jwt:\n    algorithms: [ES256]\n    public_key: MCow\n    jwks_url: https://u:s3cret@h/\n    jwks_refresh: 1s\n    leeway: -1s",
			want: []string{
				"x.yaml:5: auth.jwt.public_key: expected public keys in PEM",
				"x.yaml:6: auth.jwt.jwks_url: expected http://host… or https://host…, without a user or password, got what is not shown",
				`x.yaml:7: auth.jwt.jwks_refresh: expected a duration of at least 10s, got "1s"`,
				`x.yaml:8: auth.jwt.leeway: expected a duration of at least 0s, got "-1s"`,
			},
		},
		{
			name: "a back end that cannot be called",
			file: "auth:\n  mode: webhook\n  webhook:\n    url: ftp://h\n    secret: short\n    timeout: 0s\n    concurrency: 0\n    failures: 0\n    pause: 0s\n    down: allow",
			want: []string{
				`x.yaml:10: auth.webhook.down: expected one of refuse, anonymous, got "allow"`,
				`x.yaml:4: auth.webhook.url: expected http://host… or https://host…, without a user or password, got "ftp://h"`,
				"x.yaml:5: auth.webhook.secret: expected a secret of at least 16 bytes with auth.mode webhook (what was given is not shown)",
				`x.yaml:6: auth.webhook.timeout: expected a duration of at least 1ms, got "0s"`,
				`x.yaml:9: auth.webhook.pause: expected a duration of at least 1ms, got "0s"`,
				"x.yaml:7: auth.webhook.concurrency: expected 1 or more, got 0",
				"x.yaml:8: auth.webhook.failures: expected 1 or more, got 0",
			},
		},
		{
			name: "limits",
			file: "limits:\n  connections: -1\n  socket: {messages_burst: -2}\n  user: {bytes_per_second: 1}\n  half_open: -3\n  header_timeout: 2m\n  headers: 1",
			want: []string{
				"x.yaml:2: limits.connections: expected 0 (no limit) or more, got -1",
				"x.yaml:5: limits.half_open: expected 0 (no limit) or more, got -3",
				"x.yaml:3: limits.socket.messages_burst: expected 0 (no limit) or more, got -2",
				"x.yaml:6: limits.header_timeout (2m0s) must be at most limits.request_timeout (1m0s, default)",
				"x.yaml:7: limits.headers: expected 4KiB to 1MiB, got 1",
			},
		},
		{
			name: "who may connect",
			file: "server:\n  origins: [example.com]\n  namespaces: [chat]\n  trusted_proxies: [proxy]\n  proxy_header: Via\n  tls: {cert_file: a}",
			want: []string{
				`x.yaml:5: server.proxy_header: expected one of X-Forwarded-For, Forwarded, got "Via"`,
				`x.yaml:6: server.tls.cert_file ("a") goes only together with server.tls.key_file ("", default)`,
				`x.yaml:4: server.trusted_proxies: expected an IP address or a network such as 10.0.0.0/8, got "proxy"`,
				`x.yaml:3: server.namespaces: expected names that begin with "/", got "chat"`,
				`x.yaml:2: server.origins: expected "*" or scheme://host[:port] without a path, got "example.com"`,
			},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := loadConfig(write(t, c.file), nil, nil)
			if err == nil {
				t.Fatal("got nil, want it refused")
			}
			if got, want := err.Error(), strings.Join(c.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// Whatever is wrong with them, secrets are never shown.
func TestAuthSecretsAreNotShown(t *testing.T) {
	for _, file := range []string{
		"auth: {jwt: {secret: [s3cret]}}",
		"auth: {jwt: {secret: {s3cret: 1}}}",
		"auth: {webhook: {secret: [s3cret]}}",
		"auth: {mode: webhook, webhook: {url: 'http://h', secret: s3cret}}",
		"auth: {mode: webhook, webhook: {url: 'http://u:s3cret@h', secret: s3cret-s3cret-s3cret}}",
		"auth: {mode: webhook, webhook: {url: 'http://u:s3cret%@h', secret: s3cret-s3cret-s3cret}}",
		"auth: {mode: jwt, jwt: {algorithms: [HS256], secret: s3cret}}",
		"auth: {mode: jwt, jwt: {algorithms: [RS256], public_key: s3cret}}",
	} {
		_, err := loadConfig(write(t, file), nil, nil)
		if err == nil {
			t.Errorf("%s: got nil, want it refused", file)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v", file, err)
		}
	}
}

// A list in a file takes the place of the default, also where it is shorter or
// empty: what is closed must not stay open.
func TestListsReplaceDefaults(t *testing.T) {
	cfg, err := loadConfig(write(t, "permissions: {rooms: [], namespaces: [/a, /b]}\nauth: {webhook: {headers: [Cookie]}}\nserver: {origins: []}"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := defaultConfig()
	want.Permissions.Rooms, want.Permissions.Namespaces, want.Server.Origins = nil, []string{"/a", "/b"}, nil
	want.Auth.Webhook.Headers = []string{"Cookie"}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got %+v, want %+v", cfg, want)
	}
}
