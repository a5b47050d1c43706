package engineio

import (
	"net/http"

	"github.com/carillonhq/carillon/transport/polling"
	"github.com/carillonhq/carillon/transport/websocket"
)

// Hooks are called on the goroutine that does the work and must not block.
// Those of the transports must not call methods of Sessions either.
type Hooks struct {
	Opened        func(transport string)                           // a session began
	Closed        func(transport string, reason Reason, err error) // a session ended; err as told to its Receiver
	Upgrading     func()                                           // a candidate has answered the probe
	Upgraded      func()                                           // a session went from polling to WebSocket
	UpgradeFailed func(why string)                                 // a candidate was given up: "packet" (an unexpected one), "timeout", "closed"
	Heartbeat     func()                                           // a client has shown that it lives: by a pong, in protocol 3 by a ping
	Refused       func(code int)                                   // a request was answered with this Engine.IO error code

	// ConnectionError is Refused with all that is known.
	ConnectionError func(ConnectionError)

	// Forwarded follows a polling request of another node's session. failure
	// is "" for one that went well, else "refused" (by the session's node),
	// "too large", "abandoned" (by the client), "write" (the client took no
	// answer), "timeout" or "unreachable".
	Forwarded func(method, failure string)

	// Piped is called when a WebSocket here became the transport of another
	// node's session, and Moved when such a session became one of this node.
	Piped func()
	Moved func()

	Polling   polling.Hooks   // passed on
	WebSocket websocket.Hooks // passed on
}

// A ConnectionError says why a request was refused.
type ConnectionError struct {
	Request *http.Request // not to be kept
	Code    int           // of Engine.IO, 0 to 5
	Message string        // that stands for the code

	// Context tells more, by the names of Node's server. Code 0: "transport".
	// 1: "sid". 2: "method". 3: "name", which is one of INVALID_ORIGIN (and
	// "origin"), TRANSPORT_MISMATCH ("transport", "previousTransport"),
	// PROTOCOL_MISMATCH ("protocol", "previousProtocol"),
	// TRANSPORT_HANDSHAKE_ERROR ("error", if there is one) or
	// ID_GENERATION_ERROR ("error"). 4: "message", what the client was told.
	// 5: "protocol", what it asked for.
	Context map[string]any
}
