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
	id, err := named(r)
	if err != nil {
		err := asError(err)
		err.Code = InvalidUser
		return Identity{}, Grants{}, err
	}
	return id, Grants{}, nil
}

// named is who a client says that it is, or nobody in particular.
func named(r Request) (Identity, error) {
	user, err := shown(r.Auth, "user")
	if err != nil {
		return Identity{}, err
	}
	if user == nil {
		return anonymous(), nil
	}
	if err := CheckName("auth.user", *user); err != nil {
		return Identity{}, err
	}
	return Identity{User: *user}, nil
}

func anonymous() Identity {
	return Identity{User: "anonymous-" + strings.ToLower(rand.Text()[:8]), Anonymous: true}
}

func (anyone) close() {}
