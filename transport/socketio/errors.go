package socketio

import (
	"errors"
	"fmt"
)

var (
	// ErrDisconnected says that the socket is no longer connected.
	ErrDisconnected = errors.New("socketio: socket disconnected")

	// ErrReserved says that an event's name is one that Socket.IO keeps for
	// itself: connect, connect_error, disconnect, disconnecting, newListener
	// and removeListener.
	ErrReserved = errors.New("socketio: reserved event name")

	// ErrClosed says that the Server was closed.
	ErrClosed = errors.New("socketio: server closed")

	// ErrNoNamespace says that a client asked for a namespace that does not
	// exist and that no parent wants; the client is told "Invalid namespace".
	ErrNoNamespace = errors.New("socketio: no such namespace")

	// ErrTooManyNamespaces says that a client asked for a dynamic namespace
	// beyond Options.MaxNamespaces.
	ErrTooManyNamespaces = errors.New("socketio: too many namespaces")

	// errPacket marks what no client may send; it is wrapped with what was
	// wrong, and ends the connection as a parse error.
	errPacket = errors.New("socketio: invalid packet")

	// errState marks what a client may send, but not now. It ends the
	// connection as a forced server close, as Node's Client.ondecoded does.
	errState = errors.New("socketio: packet out of place")
)

// An Error is one that the client may see: returned from a middleware, it is
// the client's connect_error; from an event handler, the event's
// acknowledgement. Of any other error the client learns only that there was
// one, and the text goes to the log.
type Error struct {
	Code    string // for programs, such as "forbidden"
	Message string // for people
	Data    any    // optional, encoded as JSON
}

// Errorf returns an *Error with a code and a formatted message.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	if e.Code == "" {
		return e.Message
	}
	return e.Code + ": " + e.Message
}

// asError returns the *Error in err, or one that says nothing, and whether
// err held one.
func asError(err error) (*Error, bool) {
	if e, ok := errors.AsType[*Error](err); ok {
		return e, true
	}
	return &Error{Code: "internal", Message: "internal error"}, false
}

// ackError is the one argument of an acknowledgement that reports an error.
type ackError struct {
	OK    bool        `json:"ok"` // always false
	Error errorFields `json:"error"`
}

type errorFields struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

// connectError is the payload of a CONNECT_ERROR packet: Node's clients make
// an Error of the message and hang data on it.
type connectError struct {
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

func (e *Error) connectError() connectError {
	data := e.Data
	if data == nil && e.Code != "" {
		data = map[string]string{"code": e.Code}
	}
	return connectError{Message: e.Message, Data: data}
}
