package socketio

import (
	"log/slog"
	"runtime/debug"
)

// Hooks observe a Server. They are called on the goroutine that does the work,
// some of them concurrently, and must not block. A nil field is skipped. The
// names of dynamic namespaces and of unhandled events are the clients' choice:
// for a metric, put a bound on them.
type Hooks struct {
	// Connected counts the sockets let in.
	Connected func(namespace string)

	// Refused counts the clients not let in, and says why: what a middleware
	// returned, or ErrNoNamespace or ErrTooManyNamespaces.
	Refused func(namespace string, err error)

	// Disconnected counts the ends of sockets that were let in, before
	// OnDisconnect's functions are called.
	Disconnected func(namespace string, reason Reason)

	// Parked counts the disconnected sockets that are kept for their clients to
	// come back (see Recovery), Lapsed those of them that are kept no longer,
	// and Recovered those whose clients came, with the number of events that
	// were sent to it again. A recovered socket counts as Connected, too.
	Parked    func(namespace string)
	Lapsed    func(namespace string, why Lapse)
	Recovered func(namespace string, events int)

	// NotRecovered counts the clients that wanted to be recovered and were let
	// in anew, or tried to.
	NotRecovered func(namespace string, why Unrecovered)

	// Evicted counts the events that are not kept for recovery any more, for
	// want of space: Recovery.MaxBytes, Recovery.MaxTotal.
	Evicted func(namespace string, events int)

	// Received counts the events of clients, and Unhandled those of them that
	// have no Handler.
	Received  func(namespace string)
	Unhandled func(namespace, event string)

	// EventRefused counts the events that a middleware of UseEvent refused.
	EventRefused func(namespace, event string, err error)

	// Failed counts the events whose Handler returned an error that is no
	// *Error.
	Failed func(namespace, event string, err error)

	// Sent counts the events queued for a client of this node: a broadcast
	// counts once for each.
	Sent func(namespace string)

	// AckSent and AckReceived count the acknowledgements to and of clients;
	// those that nobody waits for any more do not count.
	AckSent     func(namespace string)
	AckReceived func(namespace string)

	// Violation counts what clients sent against the protocol; each ends a
	// connection.
	Violation func(err error)

	// Panicked counts the panics of handlers, which are logged as well.
	Panicked func(value any)
}

// guard calls f and recovers its panic.
func (s *Server) guard(what string, f func()) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(s.logger, what, v)
		}
	}()
	f()
}

// panicked reports what was recovered.
func (s *Server) panicked(logger *slog.Logger, what string, value any) {
	logger.Error("panic in "+what, "panic", value, "stack", string(debug.Stack()))
	if f := s.opts.Hooks.Panicked; f != nil {
		f(value)
	}
}

// count calls a hook that counts by namespace.
func (n *Namespace) count(hook func(namespace string)) {
	if hook != nil {
		hook(n.name)
	}
}

// hooks returns the server's.
func (n *Namespace) hooks() *Hooks { return &n.server.opts.Hooks }
