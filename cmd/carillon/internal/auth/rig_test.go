package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/carillonhq/carillon/cmd/carillon/internal/auth"
)

const secret = "0123456789abcdef0123456789abcdef"

// open returns an Authenticator that is closed with the test, with everything
// permitted.
func open(t *testing.T, cfg auth.Config, opts auth.Options) *auth.Authenticator {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Permissions.Namespaces == nil {
		cfg.Permissions = auth.Permissions{
			Namespaces: []string{"*"}, Rooms: []string{"*"}, Message: true, Broadcast: true, Presence: true,
		}
	}
	a, err := auth.Open(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// wantRefused fails unless err has that code and a text with part in it.
func wantRefused(t *testing.T, err error, code, part string) {
	t.Helper()
	e, ok := errors.AsType[*auth.Error](err)
	if !ok {
		t.Fatalf("got %v, want it refused as %s", err, code)
	}
	if e.Code != code || !strings.Contains(e.Message, part) {
		t.Errorf("got %q, %q; want %s with %q", e.Code, e.Message, code, part)
	}
}

// A pair is a private key and its public one, in PEM.
type pair struct {
	private crypto.Signer
	PEM     string
	Private []byte
}

func newPair(t *testing.T, private crypto.Signer) pair {
	t.Helper()
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	own, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pair{
		private,
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: own}),
	}
}

// rsaPair is made once: it takes a while.
var rsaPair = sync.OnceValues(func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newRSA(t *testing.T) pair {
	t.Helper()
	key, err := rsaPair()
	if err != nil {
		t.Fatal(err)
	}
	return newPair(t, key)
}

func newEC(t *testing.T, curve elliptic.Curve) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newPair(t, key)
}

func newEd(t *testing.T) pair {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newPair(t, key)
}

// signer signs with a private key in PEM, or a secret.
func signer(t *testing.T, algorithm, kid string, key []byte) *auth.Signer {
	t.Helper()
	s, err := auth.NewSigner(algorithm, kid, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
