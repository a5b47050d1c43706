package engineio

import (
	"errors"
	"io"
	"syscall"

	"github.com/carillonhq/carillon/transport"
	"github.com/carillonhq/carillon/transport/polling"
)

// A Reason says why a session ended. The texts are those of Engine.IO, which
// applications of Socket.IO see as the reason of "disconnect".
type Reason string

// The reasons of Engine.IO.
const (
	ReasonPingTimeout    Reason = "ping timeout"    // no pong came in time
	ReasonTransportError Reason = "transport error" // the client broke a rule or was too slow, or a write failed
	ReasonTransportClose Reason = "transport close" // the client ended the connection, orderly or not
	ReasonParseError     Reason = "parse error"     // a packet could not be decoded, here or by the Receiver
	ReasonForcedClose    Reason = "forced close"    // Close was called

	// ReasonMoved is ours, and only for Hooks and Observers: the session goes on
	// at another node (see Options.UpgradeHold).
	ReasonMoved Reason = "moved"
)

var (
	errPacket    = errors.New("engineio: unknown packet type")
	errHeartbeat = errors.New("engineio: invalid heartbeat direction") // who pings is a matter of the protocol's version
	errTaken     = errors.New("engineio: session ID in use")
	errEnded     = errors.New("engineio: session ended")
)

// parseError marks what a Receiver could not make sense of.
type parseError struct{ error }

func (e parseError) Unwrap() error { return e.error }

// reasonOf is the reason of an end that the server did not ask for, by what
// the Conn's Closed was told, and the error that is worth telling.
func reasonOf(err error) (Reason, error) {
	if p, ok := errors.AsType[parseError](err); ok {
		return ReasonParseError, p.error
	}
	switch {
	case err == nil: // the transport was closed under the session
		return ReasonForcedClose, nil
	case errors.Is(err, transport.ErrClosed):
		return ReasonTransportClose, nil
	case errors.Is(err, errPacket), errors.Is(err, polling.ErrPayload), errors.Is(err, transport.ErrEncoding):
		return ReasonParseError, err
	case errors.Is(err, polling.ErrAbandoned):
		return ReasonTransportError, err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return ReasonTransportClose, err // as Node sees a connection that just ends
	}
	return ReasonTransportError, err
}
