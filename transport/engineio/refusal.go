package engineio

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// A refusal is one of the errors of Engine.IO, as clients are told them.
type refusal struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	status  int    // of the answer, if it is not 400
	context map[string]any

	retryAfter time.Duration // if not 0
}

// with returns e with a context of keys and values.
func (e refusal) with(context ...any) refusal {
	e.context = make(map[string]any, len(context)/2)
	for i := 0; i+1 < len(context); i += 2 {
		e.context[context[i].(string)] = context[i+1]
	}
	return e
}

// because is with, of a name that code 3 is divided by.
func (e refusal) because(name string, context ...any) refusal {
	return e.with(append([]any{"name", name}, context...)...)
}

// A Refusal is an error of Options.Allow or Admit that says how to answer: the
// client is told code 4 with Message, as of any refusal, and what is between us
// and the client sees the Status.
type Refusal struct {
	Status     int           // of HTTP, such as 429 or 503. Default: that of other errors.
	Message    string        // Default: "Forbidden".
	RetryAfter time.Duration // told in whole seconds, rounded up. Default: not said.
}

func (e *Refusal) Error() string { return e.Message }

// forbid is the answer to what Options.Allow or Admit refuses: its text, if
// there is one, stands in the place of the message.
func forbid(err error) refusal {
	text := err.Error()
	if text == "" {
		text = forbidden.Message
	}
	e := forbidden.with("message", text)
	if r, ok := errors.AsType[*Refusal](err); ok {
		e.status = cmp.Or(r.Status, e.status)
		e.retryAfter = r.RetryAfter
	}
	return e
}

// The codes and messages of Engine.IO.
var (
	unknownTransport = refusal{Code: 0, Message: "Transport unknown"}
	unknownSession   = refusal{Code: 1, Message: "Session ID unknown"}
	badMethod        = refusal{Code: 2, Message: "Bad handshake method"}
	badRequest       = refusal{Code: 3, Message: "Bad request"}
	forbidden        = refusal{Code: 4, Message: "Forbidden", status: http.StatusForbidden}
	badVersion       = refusal{Code: 5, Message: "Unsupported protocol version"}

	// Ours: the protocol has no word for a server that goes. 503 lets a
	// proxy try another one.
	shuttingDown = refusal{Code: 4, Message: "Server shutting down", status: http.StatusServiceUnavailable}
)

// refusalOf is a refusal by its code, as another node says it; name divides code
// 3.
func refusalOf(code int, name string) refusal {
	for _, e := range []refusal{unknownTransport, badMethod, badRequest, forbidden, badVersion} {
		if e.Code == code && name != "" {
			return e.because(name)
		} else if e.Code == code {
			return e
		}
	}
	return unknownSession
}

// refuse answers with JSON, or an upgrade request with the bare message and
// the end of the connection, as Node's server does.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, e refusal) {
	upgrade := isUpgrade(r)
	message := e.Message
	status := e.status
	if status == 0 || upgrade && status == http.StatusForbidden {
		status = http.StatusBadRequest
	}
	if text, ok := e.context["message"].(string); ok {
		e.Message = text
	}
	body, kind := []byte(e.Message), "text/html"
	if upgrade {
		w.Header().Set("Connection", "close")
	} else {
		body, _ = json.Marshal(e) // an int and a string always encode
		kind = "application/json"
	}
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.retryAfter+time.Second-1)/time.Second)))
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone needs no answer
	if f := s.opts.Hooks.Refused; f != nil {
		f(e.Code)
	}
	if f := s.opts.Hooks.ConnectionError; f != nil {
		f(ConnectionError{Request: r, Code: e.Code, Message: message, Context: e.context})
	}
}
