package auth_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/auth"
)

// A wire answers HTTP requests without a network.
type wire func(r *http.Request) (*http.Response, error)

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) { return w(r) }

func answer(status int, body string) *http.Response {
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)),
	}
}

// A keyServer has keys at a URL.
type keyServer struct {
	mu      sync.Mutex
	body    string
	down    bool
	fetched int
	takes   time.Duration
}

func (k *keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	k.mu.Lock()
	k.fetched++
	body, down, takes := k.body, k.down, k.takes
	k.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if down {
		return nil, errors.New("away")
	}
	return answer(200, body), nil
}

func (k *keyServer) set(f func(*keyServer)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f(k)
}

// jwk is a public key of a name, as JSON. more goes into it.
func jwk(p pair, kid, more string) string {
	x := base64.RawURLEncoding.EncodeToString(p.private.Public().(ed25519.PublicKey))
	return fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":%q,"x":%q%s}`, kid, x, more)
}

func jwkSet(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

func withURL() auth.Config {
	return auth.Config{Mode: auth.JWT, JWT: auth.JWTConfig{
		Algorithms: []string{"EdDSA", "ES256"}, JWKSURL: "https://keys.example/jwks", JWKSRefresh: 15 * time.Minute,
	}}
}

// A key that comes after the start is found by the first token that names it,
// for all who show it meanwhile; and one that goes counts no more.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newEd(t), newEd(t)
		server := &keyServer{body: jwkSet(jwk(one, "one", "")), takes: 100 * time.Millisecond}
		var loads atomic.Int32
		a := open(t, withURL(), auth.Options{Transport: server, Hooks: auth.Hooks{KeysLoaded: func(err error) { loads.Add(1) }}})
		old := shows(mint(t, signer(t, "EdDSA", "one", one.Private), time.Hour, nil))
		next := shows(mint(t, signer(t, "EdDSA", "two", two.Private), time.Hour, nil))
		if _, err := a.Authenticate(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		server.set(func(k *keyServer) { k.body = jwkSet(jwk(one, "one", ""), jwk(two, "two", "")) })
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if id, err := a.Authenticate(t.Context(), next); err != nil || id.User != "alice" {
					t.Errorf("with the new key: %+v, %v", id, err)
				}
			})
		}
		wg.Wait()
		if server.fetched != 2 || loads.Load() != 2 {
			t.Errorf("fetched %d times, the hook heard of %d; want 2", server.fetched, loads.Load())
		}

		server.set(func(k *keyServer) { k.body = jwkSet(jwk(two, "two", "")) })
		if _, err := a.Authenticate(t.Context(), old); err != nil {
			t.Errorf("before the next refresh: %v", err)
		}
		time.Sleep(15 * time.Minute)
		_, err := a.Authenticate(t.Context(), old)
		wantRefused(t, err, auth.Unauthorized, "key that is not known")
		if _, err := a.Authenticate(t.Context(), next); err != nil {
			t.Error(err)
		}
	})
}

// Who invents keys has them looked for every 5 seconds at most, and keeps
// nobody from a key that is new.
func TestInventedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newEd(t), newEd(t)
		server := &keyServer{body: jwkSet(jwk(one, "one", ""))}
		a := open(t, withURL(), auth.Options{Transport: server})
		for i := range 100 {
			_, err := a.Authenticate(t.Context(), shows(mint(t, signer(t, "EdDSA", fmt.Sprint(i), two.Private), time.Hour, nil)))
			wantRefused(t, err, auth.Unauthorized, "key that is not known")
			time.Sleep(100 * time.Millisecond)
		}
		if server.fetched > 3 {
			t.Errorf("fetched %d times within 10s", server.fetched)
		}
		server.set(func(k *keyServer) { k.body = jwkSet(jwk(two, "two", "")) })
		time.Sleep(5 * time.Second)
		if _, err := a.Authenticate(t.Context(), shows(mint(t, signer(t, "EdDSA", "two", two.Private), time.Hour, nil))); err != nil {
			t.Error(err)
		}
	})
}

// Keys that were had are kept while the URL is away; where there were none yet,
// clients are told to come later, and they may as soon as there are.
func TestKeysAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := newEd(t)
		server := &keyServer{body: jwkSet(jwk(one, "one", "")), down: true}
		a := open(t, withURL(), auth.Options{Transport: server})
		token := shows(mint(t, signer(t, "EdDSA", "one", one.Private), 24*time.Hour, nil))
		_, err := a.Authenticate(t.Context(), token)
		wantRefused(t, err, auth.Unavailable, "can't be verified now")
		server.set(func(k *keyServer) { k.down = false })
		time.Sleep(5 * time.Second)
		if _, err := a.Authenticate(t.Context(), token); err != nil {
			t.Error(err)
		}
		for _, bad := range []func(*keyServer){
			func(k *keyServer) { k.down = true },
			func(k *keyServer) { k.down, k.body = false, "<html>" },
			func(k *keyServer) { k.body = `{"keys":[` + strings.Repeat(" ", 2<<20) + `]}` },
			func(k *keyServer) { k.takes = time.Hour },
		} {
			server.set(bad)
			time.Sleep(16 * time.Minute)
			if _, err := a.Authenticate(t.Context(), token); err != nil {
				t.Error(err)
			}
		}
	})
}

// Which key a token may be checked with.
func TestChosenKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, enc, static := newEd(t), newEd(t), newEd(t)
		server := &keyServer{body: jwkSet(jwk(one, "one", `,"alg":"EdDSA","use":"sig"`), jwk(enc, "enc", `,"use":"enc"`),
			`{"kty":"oct","kid":"oct","k":"c2VjcmV0"}`)}
		cfg := withURL()
		cfg.JWT.PublicKey = static.PEM
		a := open(t, cfg, auth.Options{Transport: server})
		for _, c := range []struct {
			name, kid string
			key       pair
			ok        bool
		}{
			{"named", "one", one, true},
			{"not named", "", one, true},
			{"by another's name", "one", enc, false},
			{"for encryption", "enc", enc, false},
			{"by the name of a secret", "oct", one, false},
			{"a static one", "", static, true},
			{"a static one with a name", "static", static, true},
		} {
			_, err := a.Authenticate(t.Context(), shows(mint(t, signer(t, "EdDSA", c.kid, c.key.Private), time.Hour, nil)))
			if (err == nil) != c.ok {
				t.Errorf("%s: got %v, want it accepted: %v", c.name, err, c.ok)
			}
		}
	})
}
