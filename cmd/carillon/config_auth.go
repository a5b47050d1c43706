package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/auth"
)

// Auth is how this node finds out who a client is.
type Auth struct {
	// Mode is "none" (anyone can be anyone), "jwt" (a signed token says it) or
	// "webhook" (a back end is asked). Default: "none".
	Mode string `koanf:"mode" oneof:"none jwt webhook"`

	// Warning is how long before its identity expires a client is told, by the
	// event auth:expiring, so that it can send auth:refresh with a newer token.
	// Default: 1m.
	Warning time.Duration `koanf:"warning"`

	JWT     AuthJWT     `koanf:"jwt"`
	Webhook AuthWebhook `koanf:"webhook"`
}

// AuthJWT is what the mode "jwt" needs: an algorithm, and a key for it.
type AuthJWT struct {
	// Algorithms are those that tokens may be signed with: HS256, HS384, HS512,
	// RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA.
	// Default: none.
	Algorithms []string `koanf:"algorithms"`

	// Secret is for algorithms that begin with HS, at least 32 bytes.
	// Default: empty.
	Secret string `koanf:"secret" secret:"true"`

	// PublicKey is for the others: in PEM, one public key, or several of which
	// any counts. Default: empty.
	PublicKey string `koanf:"public_key"`

	// KeyFile is a file with such keys, which is read again when it changes.
	// Default: empty.
	KeyFile string `koanf:"key_file"`

	// JWKSURL is an http or https URL that has public keys, as a JSON Web Key
	// Set. Default: empty.
	JWKSURL string `koanf:"jwks_url"`

	// JWKSRefresh is the time between two fetches of them, at least 10s. A
	// token that names an unknown key has them fetched as well, at most every
	// 5s. Default: 15m.
	JWKSRefresh time.Duration `koanf:"jwks_refresh"`

	// Issuer is what a token's claim "iss" must be. Default: empty, for any.
	Issuer string `koanf:"issuer"`

	// Audience are values one of which a token's claim "aud" must hold.
	// Default: none, for any.
	Audience []string `koanf:"audience"`

	// Leeway is by how much the clocks of whoever signs and of this node may
	// differ. Default: 10s.
	Leeway time.Duration `koanf:"leeway"`

	// RequireExpiry refuses tokens that would count for ever. Default: true.
	RequireExpiry bool `koanf:"require_expiry"`

	// Claim is the claim that holds device, namespaces, rooms and can, as an
	// object. Default: empty, for claims of their own.
	Claim string `koanf:"claim"`

	// Query is the parameter of the URL that a token may come in, which the
	// logs of proxies will show. Default: empty, for none.
	Query string `koanf:"query"`
}

// AuthWebhook is what the mode "webhook" needs: a URL and a secret.
type AuthWebhook struct {
	// URL is called for every client that connects: http or https.
	// Default: empty.
	URL string `koanf:"url"`

	// Secret is what calls are signed with, at least 16 bytes. Default: empty.
	Secret string `koanf:"secret" secret:"true"`

	// Headers are those of the client's first request that the back end sees.
	// Default: Authorization, Cookie, Origin, User-Agent.
	Headers []string `koanf:"headers"`

	// Timeout bounds the wait for an answer. Default: 3s.
	Timeout time.Duration `koanf:"timeout"`

	// Concurrency is how many calls may be under way, at least 1; further
	// clients wait. Default: 64.
	Concurrency int `koanf:"concurrency"`

	// Failures is after how many failed calls in a row, at least 1, calls are
	// suspended for Pause. Default: 5.
	Failures int `koanf:"failures"`

	// Pause is for how long. Default: 5s.
	Pause time.Duration `koanf:"pause"`

	// Down is what becomes of clients while the back end has no usable answer:
	// "refuse", or "anonymous", which lets them in under a name that is
	// nobody's. Default: "refuse".
	Down string `koanf:"down" oneof:"refuse anonymous"`
}

// Permissions are what clients may do by themselves. A token, or a webhook's
// answer, can say otherwise of one. Patterns are names in which "*" stands for
// any text and "{user}" for the client's own name.
type Permissions struct {
	// Namespaces are patterns of the namespaces, of those in
	// Server.Namespaces, that clients may enter. Default: "*".
	Namespaces []string `koanf:"namespaces"`

	// Rooms are patterns of the rooms that clients may join. Default: "*".
	Rooms []string `koanf:"rooms"`

	// Message lets clients send to users. Default: true.
	Message bool `koanf:"message"`

	// Broadcast lets clients send to the rooms that they are in. Default: true.
	Broadcast bool `koanf:"broadcast"`

	// Presence lets clients see who is online. Default: true.
	Presence bool `koanf:"presence"`
}

func defaultAuth() Auth {
	return Auth{
		Mode:    auth.None,
		Warning: time.Minute,
		JWT:     AuthJWT{JWKSRefresh: 15 * time.Minute, Leeway: 10 * time.Second, RequireExpiry: true},
		Webhook: AuthWebhook{
			Headers:     []string{"Authorization", "Cookie", "Origin", "User-Agent"},
			Timeout:     3 * time.Second,
			Concurrency: 64,
			Failures:    5,
			Pause:       5 * time.Second,
			Down:        "refuse",
		},
	}
}

func defaultPermissions() Permissions {
	return Permissions{Namespaces: []string{"*"}, Rooms: []string{"*"}, Message: true, Broadcast: true, Presence: true}
}

// authConfig is what the sections auth and permissions say.
func authConfig(cfg Config) auth.Config {
	j, w := cfg.Auth.JWT, cfg.Auth.Webhook
	return auth.Config{
		Mode: cfg.Auth.Mode,
		JWT:  auth.JWTConfig(j),
		Webhook: auth.WebhookConfig{
			URL: w.URL, Secret: w.Secret, Headers: w.Headers, Timeout: w.Timeout,
			Concurrency: w.Concurrency, Failures: w.Failures, Pause: w.Pause, Anonymous: w.Down == "anonymous",
		},
		Permissions: auth.Permissions(cfg.Permissions),
	}
}

func (l *loader) checkAuth(a Auth) {
	l.lasting("auth.warning", a.Warning, 0)
	switch a.Mode {
	case auth.JWT:
		l.checkJWT(a.JWT)
	case auth.Webhook:
		l.checkWebhook(a.Webhook)
	}
}

// Bounds below which a secret can be guessed (RFC 7518, section 3.2, asks for
// as many bytes as the hash has).
const (
	minSecret        = 32
	minWebhookSecret = 16
)

func (l *loader) checkJWT(j AuthJWT) {
	l.unless(len(j.Algorithms) > 0, "auth.jwt.algorithms", "expected one or more of %s with auth.mode jwt, got none",
		strings.Join(auth.Algorithms(), ", "))
	secret, public := false, false
	for _, a := range j.Algorithms {
		l.unless(slices.Contains(auth.Algorithms(), a), "auth.jwt.algorithms", "expected some of %s, got %q",
			strings.Join(auth.Algorithms(), ", "), a)
		secret = secret || strings.HasPrefix(a, "HS")
		public = public || !strings.HasPrefix(a, "HS")
	}
	if secret {
		l.unless(len(j.Secret) >= minSecret, "auth.jwt.secret",
			"expected a secret of at least %d bytes, as auth.jwt.algorithms has HS (what was given is not shown)", minSecret)
		l.unless(!strings.Contains(j.Secret, "-----BEGIN"), "auth.jwt.secret",
			"expected a secret, got a key in PEM, which others may know")
	}
	if public && !l.refused["auth.jwt.algorithms"] && j.PublicKey == "" && j.KeyFile == "" && j.JWKSURL == "" {
		l.refuse("auth.jwt.algorithms", "need a public key: set auth.jwt.public_key, auth.jwt.key_file or auth.jwt.jwks_url")
	}
	if j.PublicKey != "" {
		err := auth.CheckPublicKeys([]byte(j.PublicKey))
		l.unless(err == nil, "auth.jwt.public_key", "%v", err)
	}
	if j.JWKSURL != "" {
		l.checkURL("auth.jwt.jwks_url", j.JWKSURL)
	}
	l.lasting("auth.jwt.jwks_refresh", j.JWKSRefresh, 10*time.Second)
	l.lasting("auth.jwt.leeway", j.Leeway, 0)
}

func (l *loader) checkWebhook(w AuthWebhook) {
	l.checkURL("auth.webhook.url", w.URL)
	l.unless(len(w.Secret) >= minWebhookSecret, "auth.webhook.secret",
		"expected a secret of at least %d bytes with auth.mode webhook (what was given is not shown)", minWebhookSecret)
	l.lasting("auth.webhook.timeout", w.Timeout, time.Millisecond)
	l.lasting("auth.webhook.pause", w.Pause, time.Millisecond)
	l.unless(w.Concurrency >= 1, "auth.webhook.concurrency", "expected 1 or more, got %d", w.Concurrency)
	l.unless(w.Failures >= 1, "auth.webhook.failures", "expected 1 or more, got %d", w.Failures)
}

// checkURL refuses what is no URL to call. Passwords in it would be shown.
func (l *loader) checkURL(key, raw string) {
	u, err := url.Parse(raw)
	l.unless(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil, key,
		"expected http://host… or https://host…, without a user or password, got %s", shownURL(u, raw))
}

// shownURL is what was given, unless it may hold a password.
func shownURL(u *url.URL, raw string) string {
	if u == nil || u.User != nil || strings.Contains(raw, "@") {
		return "what is not shown"
	}
	return fmt.Sprintf("%q", raw)
}
