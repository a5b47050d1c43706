package rabbitmq

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
)

// A library is the logger that Watermill is given, by which it tells what no
// call returns: what it writes as an error ends the session.
//
// Two of its goroutines have no other place to be stopped at than what they
// log. The one that watches a connection would write, unguarded, to a field
// that all others read, reconnect for ever, and stay behind if it was closed
// meanwhile. The one of a subscription sleeps for 100 ms after the end.
type library struct {
	watermill.NopLogger
	faults chan error
}

const (
	watching = "handleConnectionClose is waiting for c.connected" // its first words
	ended    = "Subscriber closed"                                // its last words
)

// With implements watermill.LoggerAdapter.
func (l *library) With(watermill.LogFields) watermill.LoggerAdapter { return l }

// Debug implements watermill.LoggerAdapter.
func (l *library) Debug(text string, _ watermill.LogFields) {
	if text == watching {
		runtime.Goexit()
	}
}

// Info implements watermill.LoggerAdapter.
func (l *library) Info(text string, _ watermill.LogFields) {
	if text == ended {
		runtime.Goexit() // runs what is deferred
	}
}

// Error implements watermill.LoggerAdapter.
func (l *library) Error(text string, err error, _ watermill.LogFields) {
	text = strings.ToLower(text)
	if err == nil {
		err = errors.New(text)
	} else {
		err = fmt.Errorf("%s: %w", text, err)
	}
	select {
	case l.faults <- err:
	default: // the first one tells most
	}
}

// errCancelled is what a subscription ends with whose queue is gone.
var errCancelled = errors.New("the queue was deleted, or its channel closed")

type marshaler struct{}

// Marshal leaves out Watermill's UUID and metadata, which we do not use.
// Messages are not persistent: that would save what a slow node has not heard
// yet from a crash of RabbitMQ, and make each publish take ten times as long.
func (marshaler) Marshal(m *message.Message) (amqp.Publishing, error) {
	return amqp.Publishing{Body: m.Payload, DeliveryMode: amqp.Transient}, nil
}

// Unmarshal refuses the empty messages that Watermill makes up, as fast as it
// can, when RabbitMQ has ended a subscription: it does not look whether the
// channel that it reads from was closed.
func (marshaler) Unmarshal(d amqp.Delivery) (*message.Message, error) {
	if d.Acknowledger == nil {
		return nil, errCancelled
	}
	return message.NewMessage("", d.Body), nil
}
