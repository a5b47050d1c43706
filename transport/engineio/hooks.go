package engineio

import (
	"github.com/carillonhq/carillon/transport/polling"
	"github.com/carillonhq/carillon/transport/websocket"
)

// Hooks are called on the goroutine that does the work and must not block.
// Those of the transports must not call methods of Sessions either.
type Hooks struct {
	Opened        func(transport string)                           // a session began
	Closed        func(transport string, reason Reason, err error) // a session ended; err as told to its Receiver
	Upgraded      func()                                           // a session went from polling to WebSocket
	UpgradeFailed func(why string)                                 // a candidate was given up: "packet" (an unexpected one), "timeout", "closed"
	Refused       func(code int)                                   // a request was answered with this Engine.IO error code

	Polling   polling.Hooks   // passed on
	WebSocket websocket.Hooks // passed on
}
