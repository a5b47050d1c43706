package auth

import (
	"context"
	"crypto/rand"
	"strings"
)

// anyone believes what clients say of themselves.
type anyone struct{}

// InvalidUser is the code for a name that no user can have.
const InvalidUser = "invalid_user"

func (anyone) identify(_ context.Context, r Request) (Identity, Grants, error) {
	if r.Refresh {
		return Identity{}, Grants{}, errorf(Invalid, nil, "there is nothing to refresh: this server does not authenticate")
	}
	user, err := named(r)
	if err != nil {
		err := asError(err)
		err.Code = InvalidUser
		return Identity{}, Grants{}, err
	}
	return Identity{User: user}, Grants{}, nil
}

// named is the name that a client gives itself, or one that nobody has.
func named(r Request) (string, error) {
	user, err := shown(r.Auth, "user")
	if err != nil {
		return "", err
	}
	if user == nil {
		return anonymous(), nil
	}
	if err := CheckName("auth.user", *user); err != nil {
		return "", err
	}
	return *user, nil
}

func anonymous() string { return "anonymous-" + strings.ToLower(rand.Text()[:8]) }

func (anyone) close() {}
