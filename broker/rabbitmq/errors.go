package rabbitmq

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	amqp "github.com/rabbitmq/amqp091-go"
)

// A deniedError is that a user has not the right on something.
type deniedError struct {
	right, on string
	err       error
}

func (e *deniedError) Error() string { return e.err.Error() }
func (e *deniedError) Unwrap() error { return e.err }

// explain wraps err with a sentence that says what to change.
func explain(addr string, err error) error {
	var (
		protocol  *amqp.Error
		denied    *deniedError
		dns       *net.DNSError
		record    tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		timeout   net.Error
	)
	code, reason := 0, ""
	if errors.As(err, &protocol) {
		code, reason = protocol.Code, protocol.Reason
	}
	why := ""
	switch {
	case errors.As(err, &denied):
		why = fmt.Sprintf("forbids it to this user, who needs the permission to %s on %s: grant all three on what begins with the name of the cluster, and write and read on %s (rabbitmqctl set_permissions), or use another user",
			denied.right, denied.on, exchange)
	case errors.Is(err, amqp.ErrCredentials):
		why = "refuses the user or the password: correct the URL, or Password"
	case errors.Is(err, amqp.ErrVhost):
		why = "has no such vhost, or this user may not use it: correct the URL, or create it and grant permissions on it (rabbitmqctl add_vhost, set_permissions)"
	case errors.Is(err, amqp.ErrSASL):
		why = "accepts no authentication by user and password: allow PLAIN there"
	case code == amqp.ConnectionForced:
		why = "has closed the connection, as when it stops"
	case code == amqp.ResourceError:
		why = "is out of a resource that it needs for this"
	case code == amqp.NotFound && strings.Contains(reason, "is down"):
		why = "has the queue on a node that is down"
	case code == amqp.FrameError && !protocol.Server && reason != "":
		why = "has cut the connection, or the network has"
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "does not accept connections: start RabbitMQ there, or correct the URL"
	case errors.As(err, &dns):
		why = "has a host name that cannot be resolved: correct the URL"
	case errors.As(err, &record):
		why = "does not speak TLS: use amqp:// instead of amqps://, or the port for TLS"
	case errors.As(err, &authority), errors.As(err, &host):
		why = "has a TLS certificate that is not trusted: use one that is issued for the host in the URL, or name its authority by cacertfile"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		why = "does not answer in time"
	default:
		return fmt.Errorf("rabbitmq: %s: %w", addr, err)
	}
	return fmt.Errorf("rabbitmq: %s %s: %w", addr, why, err)
}
