package broker

import "context"

// A Driver carries bytes between the nodes of a cluster: every node
// subscribed to a topic, the publisher included, gets what is published to it.
// Its contract is weak on purpose: it may lose, repeat and delay across an
// outage, but while the link stands it keeps each publisher's order per topic.
// The Bus above mends the rest. All methods may be called concurrently.
type Driver interface {
	// Publish returns once the broker has accepted data, or with an error,
	// after which it is unknown whether the broker has it. It does not retain
	// data, and returns soon after ctx is done.
	Publish(ctx context.Context, topic string, data []byte) error

	// Subscribe returns once h is live: it sees all that is published from
	// then on, one call at a time, in the order of each publisher.
	// ctx bounds the call alone; the Subscription ends with its Close.
	// A Driver re-establishes its subscriptions by itself after an outage.
	Subscribe(ctx context.Context, topic string, h Handler) (Subscription, error)

	// Close ends every subscription and releases the connection. Afterwards
	// everything answers ErrClosed.
	Close() error
}

// A Handler is given what was published to a topic. It owns data, must not
// block for long, and is never called again once Close of its Subscription
// (or of the Driver) has returned.
type Handler func(data []byte)

// A Subscription is one handler's place at one topic.
type Subscription interface {
	// Close may be called more than once, but not from its Handler.
	Close() error
}

// A Linked driver tells when its connections come and go.
type Linked interface {
	// OnLink registers f, before the first Publish or Subscribe. f is called
	// on a goroutine of the driver and must not block.
	OnLink(f func(Link))
}

// A Limited driver tells what its broker takes.
type Limited interface {
	// Limits is called once, before the first Publish.
	Limits() Limits
}

// Limits are what a broker takes.
type Limits struct {
	// MaxMessage is how many bytes Publish takes at most, 0 if that does not
	// matter. A Bus needs 64 KiB, and never uses more than 256 KiB.
	MaxMessage int
}

// A Link is the state of one of a driver's connections after a change.
type Link struct {
	Role    string // "publisher" or "subscriber"
	Up      bool
	Attempt int   // while down: the number of the retry about to be made, from 1
	Err     error // while down: why
}
