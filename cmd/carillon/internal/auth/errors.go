package auth

import (
	"errors"
	"fmt"
)

// The codes of Errors.
const (
	Unauthorized = "unauthorized"  // no token, or none that counts
	TokenExpired = "token_expired" // the token counted once
	Forbidden    = "forbidden"     // known, and not allowed to
	Unavailable  = "unavailable"   // cannot be told now; later it may
	Invalid      = "invalid"       // what was sent makes no sense
)

// An Error says why a client is refused. It holds no secret.
type Error struct {
	Code    string // for programs
	Message string // for people
	cause   error  // for the log
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func (e *Error) Unwrap() error { return e.cause }

func errorf(code string, cause error, format string, args ...any) *Error {
	return &Error{code, fmt.Sprintf(format, args...), cause}
}

// asError returns the *Error in err, or one that tells the client nothing.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Unavailable, "cannot tell who you are", err}
}
