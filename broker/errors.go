package broker

import "errors"

var (
	// ErrClosed is the answer of a Driver and of a Bus after their Close.
	ErrClosed = errors.New("broker: closed")

	// ErrOverflow says that as many bytes wait for the broker as
	// Options.Buffer allows. The message was not taken; the caller chooses
	// whether to drop it or to say it again, more briefly, later.
	ErrOverflow = errors.New("broker: too much waits for the broker")

	// ErrTooLarge says that a body exceeds MaxBody or a channel's name
	// MaxChannel. A Driver answers it for data that its broker will never
	// take; the Bus then drops that data instead of trying again.
	ErrTooLarge = errors.New("broker: message too large")

	// ErrUnknownNode says that no such node is up, as far as this node knows.
	ErrUnknownNode = errors.New("broker: unknown node")

	// ErrTimeout stands in an Answer that had not come when the wait ended.
	ErrTimeout = errors.New("broker: no answer in time")

	// ErrNodeDown stands in the Answer of a node that was not up when asked,
	// or went down before it answered.
	ErrNodeDown = errors.New("broker: node is down")
)

// A RefusedError is the answer of a node whose responder returned an error,
// or that has no responder for the channel.
type RefusedError struct {
	Text string // the responder's error
}

func (e *RefusedError) Error() string { return "broker: request refused: " + e.Text }
