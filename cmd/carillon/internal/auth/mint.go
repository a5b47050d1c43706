package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A Signer makes tokens.
type Signer struct {
	method jwt.SigningMethod
	key    any
	kid    string
}

// NewSigner returns a Signer with a secret, for an algorithm that begins with
// HS, or a private key in PEM (PKCS #8, PKCS #1 or SEC 1) for any other. kid,
// unless empty, names the key in each token. Its errors hold nothing of the
// key.
func NewSigner(algorithm, kid string, key []byte) (*Signer, error) {
	s := &Signer{method: jwt.GetSigningMethod(algorithm), kid: kid}
	if s.method == nil || algorithm == "none" {
		return nil, fmt.Errorf("unknown algorithm %q", algorithm)
	}
	if _, ok := s.method.(*jwt.SigningMethodHMAC); ok {
		s.key = key
		return s, nil
	}
	private, err := privateKey(key)
	if err != nil {
		return nil, err
	}
	if !fits(s.method, private.Public()) {
		return nil, fmt.Errorf("the private key is not one for %s", algorithm)
	}
	s.key = private
	return s, nil
}

// Mint returns a token for a user, which ends after ttl, or never if ttl is 0.
// claims are added, and win.
func (s *Signer) Mint(user string, ttl time.Duration, claims map[string]any) (string, error) {
	now := time.Now()
	all := jwt.MapClaims{"sub": user, "iat": now.Unix()}
	if ttl != 0 {
		all["exp"] = now.Add(ttl).Unix()
	}
	maps.Copy(all, claims)
	token := jwt.NewWithClaims(s.method, all)
	if s.kid != "" {
		token.Header["kid"] = s.kid
	}
	return token.SignedString(s.key)
}

func privateKey(text []byte) (crypto.Signer, error) {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, errors.New("expected a private key in PEM")
		}
		text = rest
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			switch k := key.(type) {
			case *rsa.PrivateKey:
				return k, nil
			case *ecdsa.PrivateKey:
				return k, nil
			case ed25519.PrivateKey:
				return k, nil
			}
		}
		if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return k, nil
		}
		if k, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return k, nil
		}
	}
}
