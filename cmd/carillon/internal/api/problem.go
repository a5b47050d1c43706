package api

import (
	"fmt"
	"net/http"
	"strconv"
)

// A Problem is an error as a client is told it (RFC 9457).
type Problem struct {
	Type   string  `json:"type"` // urn:carillon:problem: and the code
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Code   string  `json:"code"` // for programs; it stays as it is
	Detail string  `json:"detail"`
	Errors []Fault `json:"errors,omitempty"` // all that is wrong with what was sent
}

// A Fault is what is wrong with one thing that was sent.
type Fault struct {
	Pointer   string `json:"pointer,omitempty"`   // into the body (RFC 6901)
	Parameter string `json:"parameter,omitempty"` // of the path or the query
	Header    string `json:"header,omitempty"`
	Detail    string `json:"detail"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// A kind is what one kind of Problem has in common. Codes are promised in
// openapi.yaml.
type kind struct {
	status int
	code   string
	title  string
}

var (
	malformed        = kind{http.StatusBadRequest, "malformed", "The request cannot be read"}
	unauthorized     = kind{http.StatusUnauthorized, "unauthorized", "No valid API key"}
	notFound         = kind{http.StatusNotFound, "not_found", "There is no such path"}
	noNamespace      = kind{http.StatusNotFound, "namespace_not_found", "There is no such namespace"}
	methodNotAllowed = kind{http.StatusMethodNotAllowed, "method_not_allowed", "The path has no such method"}
	inProgress       = kind{http.StatusConflict, "idempotency_in_progress", "A request with this idempotency key is under way"}
	tooLarge         = kind{http.StatusRequestEntityTooLarge, "too_large", "The request is too large"}
	unsupportedType  = kind{http.StatusUnsupportedMediaType, "unsupported_media_type", "The body is not JSON"}
	invalid          = kind{http.StatusUnprocessableEntity, "invalid", "Something in the request is not as it has to be"}
	keyReused        = kind{http.StatusUnprocessableEntity, "idempotency_key_reused", "This idempotency key belongs to a different request"}
	internal         = kind{http.StatusInternalServerError, "internal", "Something is wrong with the server"}
	unavailable      = kind{http.StatusServiceUnavailable, "unavailable", "Not possible at the moment"}
)

func problemf(k kind, format string, args ...any) *Problem {
	return &Problem{
		Type:   "urn:carillon:problem:" + k.code,
		Title:  k.title,
		Status: k.status,
		Code:   k.code,
		Detail: fmt.Sprintf(format, args...),
	}
}

// faulty is the Problem of things that are wrong with what was sent.
func faulty(faults ...Fault) *Problem {
	f := faults[0]
	where := f.Parameter + f.Header
	if where == "" {
		where = f.Pointer
	}
	p := problemf(invalid, "%s: %s", where, f.Detail)
	if where == "" {
		p.Detail = f.Detail
	}
	if len(faults) > 1 {
		p.Detail += fmt.Sprintf(" (and %d more)", len(faults)-1)
	}
	p.Errors = faults
	return p
}

// quote shows what a client sent, at a length that does no harm.
func quote(s string) string {
	const most = 64
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "…"
	}
	return strconv.Quote(s)
}
