package rabbitmq

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/carillonhq/carillon/broker"
)

// Config says where RabbitMQ is, and how to use it.
type Config struct {
	// URL is amqp://[user:password@]host[:port][/vhost], or amqps:// for TLS,
	// with the parameters of RabbitMQ's clients, such as
	// ?cacertfile=ca.pem&certfile=me.pem&keyfile=me.key (RabbitMQ's URI Query
	// Parameters). Without a user it is guest, without a vhost it is "/", which
	// is written as %2F if it has to be. Required.
	URL string

	// Password, if set, is used instead of the one in URL.
	Password string

	// TLS is used with amqps://, instead of what the parameters of URL say.
	// Optional.
	TLS *tls.Config

	// MaxBytes bounds what RabbitMQ keeps in each queue: how far a node may
	// fall behind and still lose nothing. At least 1 MiB. Default: 64 MiB.
	MaxBytes int64

	// Retry is how connections are made again. Publish never waits for one.
	Retry broker.Retry

	Logger *slog.Logger // Default: slog.Default().
}

const (
	heartbeat    = 4 * time.Second // a silent RabbitMQ is given up after one and a half
	dialTimeout  = 5 * time.Second // of a connection, for those whose context has no deadline
	closeTimeout = 2 * time.Second // of saying goodbye
	queueTTL     = time.Minute     // of a queue whose node is away
	prefetch     = 64              // messages that are on their way to a subscription
	lanes        = 16              // channels for publishing, as many as a Bus uses at once
	maxTopic     = 200             // bytes: AMQP has 255 for a queue's name, which is longer
)

// exchange routes by topic. Every vhost has it, and nobody can delete it.
const exchange = "amq.direct"

var (
	errURL   = errors.New("rabbitmq: the URL is not of the form amqp://[user:password@]host[:port][/vhost] or amqps://…")
	errTopic = errors.New("rabbitmq: a topic has more than " + strconv.Itoa(maxTopic) + " bytes")
)

// fill checks the URL and sets what is missing. It returns the host and port.
func (c *Config) fill() (addr string, err error) {
	u, err := amqp.ParseURI(c.URL)
	if err != nil || u.Host == "" {
		return "", errURL // err would show the password
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 64 << 20
	}
	c.MaxBytes = max(c.MaxBytes, 1<<20) // or RabbitMQ might drop an envelope as soon as it has it
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return net.JoinHostPort(u.Host, strconv.Itoa(u.Port)), nil
}

// sasl is how a user shows who it is; nil is what the URL says.
func (c *Config) sasl() []amqp.Authentication {
	u, err := amqp.ParseURI(c.URL)
	if err != nil || c.Password == "" {
		return nil
	}
	return []amqp.Authentication{&amqp.PlainAuth{Username: u.Username, Password: c.Password}}
}

// sleep waits for d, or until one of the channels is closed.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
	}
}
