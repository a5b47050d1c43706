package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

var (
	errNoKey  = errors.New("no such key")
	errMethod = errors.New("algorithm not allowed")
)

// keys are what signatures are checked with.
type keys struct {
	secret []byte
	static []crypto.PublicKey
	file   *keyFile // nil: none
	remote *jwks    // nil: none
}

func newKeys(cfg JWTConfig, opts Options) (*keys, error) {
	k := &keys{secret: []byte(cfg.Secret)}
	var err error
	if cfg.PublicKey != "" {
		if k.static, err = publicKeys([]byte(cfg.PublicKey)); err != nil {
			return nil, fmt.Errorf("auth.jwt.public_key: %w", err)
		}
	}
	if cfg.KeyFile != "" {
		if k.file, err = openKeyFile(cfg.KeyFile, opts.Logger); err != nil {
			return nil, err
		}
	}
	if cfg.JWKSURL != "" {
		k.remote = openJWKS(cfg.JWKSURL, cfg.JWKSRefresh, opts)
	}
	return k, nil
}

func (k *keys) close() {
	if k.remote != nil {
		k.remote.close()
	}
}

// of returns what to check a token's signature with. The algorithm is the
// token's claim, so it chooses among keys that are made for it and no others:
// a public key is never taken for a secret.
func (k *keys) of(ctx context.Context, token *jwt.Token) (any, error) {
	if _, ok := token.Method.(*jwt.SigningMethodHMAC); ok {
		if len(k.secret) == 0 {
			return nil, errMethod
		}
		return k.secret, nil
	}
	static := fitting(token.Method, k.static)
	if k.file != nil {
		static = append(static, fitting(token.Method, k.file.all())...)
	}
	if k.remote == nil {
		if len(static) == 0 {
			return nil, errNoKey
		}
		return jwt.VerificationKeySet{Keys: static}, nil
	}
	found, err := k.remote.keys(ctx, token)
	if err != nil && len(static) == 0 {
		return nil, err
	}
	return jwt.VerificationKeySet{Keys: append(found, static...)}, nil
}

// fitting returns those of all that fit.
func fitting[K any](method jwt.SigningMethod, all []K) []jwt.VerificationKey {
	var some []jwt.VerificationKey
	for _, key := range all {
		if fits(method, key) {
			some = append(some, key)
		}
	}
	return some
}

// fits reports whether a key is one of the algorithm.
func fits(method jwt.SigningMethod, key any) bool {
	switch m := method.(type) {
	case *jwt.SigningMethodRSA, *jwt.SigningMethodRSAPSS:
		_, ok := key.(*rsa.PublicKey)
		return ok
	case *jwt.SigningMethodECDSA:
		k, ok := key.(*ecdsa.PublicKey)
		return ok && k.Curve.Params().BitSize == m.CurveBits
	case *jwt.SigningMethodEd25519:
		_, ok := key.(ed25519.PublicKey)
		return ok
	}
	return false
}

// CheckPublicKeys says what is wrong with PEM text that shall hold public keys.
func CheckPublicKeys(text []byte) error {
	_, err := publicKeys(text)
	return err
}

// minRSA is what RFC 7518, section 3.3, asks for.
const minRSA = 2048

// publicKeys reads all keys of PEM text: public keys, or certificates. It does
// not quote from it.
func publicKeys(text []byte) ([]crypto.PublicKey, error) {
	var found []crypto.PublicKey
	for n := 1; ; n++ {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		key, err := publicKey(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", n, err)
		}
		found = append(found, key)
	}
	if len(found) == 0 {
		return nil, errors.New("expected public keys in PEM")
	}
	return found, nil
}

func publicKey(block *pem.Block) (key crypto.PublicKey, err error) {
	switch {
	case strings.Contains(block.Type, "PRIVATE"):
		return nil, errors.New("a private key, which only the signer should have; the public key is enough here")
	case block.Type == "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = c.PublicKey
		}
	case block.Type == "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	}
	if err != nil {
		return nil, errors.New("no public key that can be read")
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSA {
			return nil, fmt.Errorf("an RSA key of %d bits; %d are needed", k.N.BitLen(), minRSA)
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return nil, fmt.Errorf("a key of a kind that signs no tokens: %T", key)
	}
	return key, nil
}
