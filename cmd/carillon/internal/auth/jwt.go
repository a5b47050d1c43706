package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A JWTConfig says which tokens count. The user is their claim "sub"; "exp"
// and "nbf" bound their time; and the fields of Grants are claims too.
type JWTConfig struct {
	// Algorithms are those that tokens may be signed with, of Algorithms().
	Algorithms []string

	Secret    string // for HS256, HS384 and HS512
	PublicKey string // for the others: PEM, one key or several
	KeyFile   string // the same in a file, which is read again when it changes

	// JWKSURL has public keys too. They are fetched every JWKSRefresh, and when
	// a token names a key that is not among them.
	JWKSURL     string
	JWKSRefresh time.Duration

	Issuer   string   // that "iss" must be; empty for any
	Audience []string // one of which "aud" must hold; empty for any
	Leeway   time.Duration

	// RequireExpiry refuses tokens without "exp", which count for ever.
	RequireExpiry bool

	// Claim is the claim that holds the fields of Grants as an object. Empty
	// if they are claims themselves.
	Claim string

	// Query is a parameter of the URL that tokens may come in; empty for none.
	// URLs end up in logs.
	Query string
}

// Algorithms returns what tokens can be signed with.
func Algorithms() []string {
	return []string{
		"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
		"ES256", "ES384", "ES512", "EdDSA",
	}
}

// tokens believes what a JSON Web Token says.
type tokens struct {
	cfg    JWTConfig
	parser *jwt.Parser
	keys   *keys
}

func newTokens(cfg JWTConfig, opts Options) (*tokens, error) {
	if len(cfg.Algorithms) == 0 { // which the library takes for all of them
		return nil, errors.New("auth.jwt.algorithms: expected one or more")
	}
	for _, a := range cfg.Algorithms {
		if !slices.Contains(Algorithms(), a) {
			return nil, fmt.Errorf("auth.jwt.algorithms: unknown algorithm %q", a)
		}
	}
	k, err := newKeys(cfg, opts)
	if err != nil {
		return nil, err
	}
	options := []jwt.ParserOption{jwt.WithValidMethods(cfg.Algorithms), jwt.WithLeeway(cfg.Leeway), jwt.WithStrictDecoding()}
	if cfg.Issuer != "" {
		options = append(options, jwt.WithIssuer(cfg.Issuer))
	}
	if len(cfg.Audience) > 0 {
		options = append(options, jwt.WithAudience(cfg.Audience...))
	}
	if cfg.RequireExpiry {
		options = append(options, jwt.WithExpirationRequired())
	}
	return &tokens{cfg, jwt.NewParser(options...), k}, nil
}

func (t *tokens) close() { t.keys.close() }

func (t *tokens) identify(ctx context.Context, r Request) (Identity, Grants, error) {
	token, err := t.find(r)
	if err != nil {
		return Identity{}, Grants{}, err
	}
	c := claims{in: t.cfg.Claim}
	_, err = t.parser.ParseWithClaims(token, &c, func(token *jwt.Token) (any, error) { return t.keys.of(ctx, token) })
	if err != nil {
		return Identity{}, Grants{}, refusal(err)
	}
	if err := checkUser("the token's sub", c.Subject); err != nil {
		return Identity{}, Grants{}, err
	}
	if c.grants.Device != "" {
		if err := checkUser("the token's device", c.grants.Device); err != nil {
			return Identity{}, Grants{}, err
		}
	}
	id := Identity{User: c.Subject, Device: c.grants.Device}
	if c.ExpiresAt != nil {
		id.Expires = c.ExpiresAt.Add(t.cfg.Leeway)
	}
	return id, c.grants, nil
}

// maxToken bounds tokens, in bytes: what HTTP servers take as a header.
const maxToken = 16 << 10

// find returns the token that a client shows: first of all to the namespace,
// else in its first request.
func (t *tokens) find(r Request) (string, error) {
	shown, err := shown(r.Auth, "token")
	if err != nil {
		return "", err
	}
	var token string
	switch {
	case shown != nil:
		token = *shown
	case r.Refresh: // the first request's token is what shall be refreshed
	default:
		if token, err = bearer(r.Header.Values("Authorization")); err != nil {
			return "", err
		}
		if t.cfg.Query != "" {
			token = cmp.Or(token, r.Query.Get(t.cfg.Query))
		}
	}
	switch {
	case token == "":
		return "", errorf(Unauthorized, nil, "a token is needed")
	case len(token) > maxToken:
		return "", errorf(Unauthorized, nil, "the token is longer than %d bytes", maxToken)
	}
	return token, nil
}

// bearer returns the token of an Authorization header (RFC 6750, section 2.1);
// it is empty if there is none, or another scheme's.
func bearer(headers []string) (string, error) {
	if len(headers) > 1 {
		return "", errorf(Unauthorized, nil, "more than one Authorization header")
	}
	if len(headers) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil
	}
	return strings.TrimSpace(token), nil
}

// refusal says why a token does not count, as far as its bearer may know.
func refusal(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	for _, known := range []struct {
		err           error
		code, message string
	}{
		{jwt.ErrTokenMalformed, Unauthorized, "the token is malformed"},
		{errNoKey, Unauthorized, "the token is signed by a key that is not known"},
		{errMethod, Unauthorized, "the token is signed with an algorithm that is not allowed"},
		{jwt.ErrTokenSignatureInvalid, Unauthorized, "the token's signature or algorithm is not valid"},
		{jwt.ErrTokenUnverifiable, Unauthorized, "the token can't be verified"},
		{jwt.ErrTokenExpired, TokenExpired, "the token has expired"},
		{jwt.ErrTokenNotValidYet, Unauthorized, "the token is not valid yet"},
		{jwt.ErrTokenInvalidIssuer, Unauthorized, "the token is by another issuer"},
		{jwt.ErrTokenInvalidAudience, Unauthorized, "the token is for another audience"},
		{jwt.ErrTokenRequiredClaimMissing, Unauthorized, "the token lacks a claim that is needed"},
	} {
		if errors.Is(err, known.err) {
			return errorf(known.code, err, "%s", known.message)
		}
	}
	return errorf(Unauthorized, err, "the token is not valid")
}

// claims are what a token says.
type claims struct {
	jwt.RegisteredClaims
	grants Grants
	in     string // the claim that holds grants, or "" for all
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *claims) UnmarshalJSON(text []byte) error {
	if err := json.Unmarshal(text, &c.RegisteredClaims); err != nil {
		return err
	}
	if c.in != "" {
		var all map[string]json.RawMessage
		if err := json.Unmarshal(text, &all); err != nil {
			return err
		}
		if text = all[c.in]; text == nil {
			return nil
		}
	}
	return json.Unmarshal(text, &c.grants)
}
