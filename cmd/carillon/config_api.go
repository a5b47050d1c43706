package main

import (
	"strings"
	"time"
)

// API is the HTTP API, at /api/v1, by which back ends send and ask. Without a
// key it is off.
type API struct {
	// Keys are those who may use it, each of 16 characters or more; a back end
	// shows one as "Authorization: Bearer KEY". Default: none.
	Keys []string `koanf:"keys" secret:"true"`

	// Listen is a host:port for the API alone, which then is not served on
	// Server.Listen. Default: empty, for no address of its own.
	Listen string `koanf:"listen"`

	// MaxBody bounds the body of a request. At most what nodes can pass on,
	// 16MiB. Default: 1MB.
	MaxBody Size `koanf:"max_body"`

	// Timeout bounds the wait for other nodes' answers; those that did not come
	// are named in the answer. Default: 5s.
	Timeout time.Duration `koanf:"timeout"`

	// IdempotencyTTL is how long this node remembers its answer to a request
	// with an Idempotency-Key, and IdempotencyKeys how many it remembers.
	// Defaults: 10m, 10000.
	IdempotencyTTL  time.Duration `koanf:"idempotency_ttl"`
	IdempotencyKeys int           `koanf:"idempotency_keys"`
}

func defaultAPI() API {
	return API{MaxBody: 1_000_000, Timeout: 5 * time.Second, IdempotencyTTL: 10 * time.Minute, IdempotencyKeys: 10_000}
}

// minKey is the least length of an API key that nobody guesses.
const minKey = 16

// maxKey bounds the length of an API key.
const maxKey = 1024

// validKey reports whether a key can be shown in a header.
func validKey(key string) bool {
	return len(key) >= minKey && len(key) <= maxKey && !strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' })
}

func (l *loader) checkAPI(a API) {
	for _, key := range a.Keys {
		l.unless(validKey(key), "api.keys",
			"expected keys of %d to %d printable characters without blanks (what was given is not shown)", minKey, maxKey)
	}
	l.unless(a.Listen == "" || listenable(a.Listen), "api.listen", "expected host:port or :port, got %q", a.Listen)
	l.bounded("api.max_body", a.MaxBody)
	l.lasting("api.timeout", a.Timeout, time.Millisecond)
	l.lasting("api.idempotency_ttl", a.IdempotencyTTL, time.Second)
	l.unless(a.IdempotencyKeys >= 1, "api.idempotency_keys", "expected 1 or more, got %d", a.IdempotencyKeys)
}
