package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/carillonhq/carillon/broker"
)

// Config says where Kafka is, and how to use it.
type Config struct {
	// Brokers are host:port of some of the brokers; they name the others.
	// Required.
	Brokers []string

	// Topic is the one topic of Kafka that carries all topics of the Bus, and
	// may carry those of several clusters. Default: "carillon".
	Topic string

	// Partitions, Replication and Retention are those of the topic if it does
	// not exist and has to be created; one that exists is left as it is.
	// Retention is how far a node may fall behind and still lose nothing, at
	// least a second. Default: 8 partitions, as many replicas as there are
	// brokers but at most 3, 10m.
	Partitions  int
	Replication int
	Retention   time.Duration

	SASL SASL
	TLS  *tls.Config // Default: no TLS.

	// Dial makes the connections, where a proxy or a tunnel is between us and
	// the brokers. Default: net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Retry is how the reader reconnects. Publish never retries by itself.
	Retry broker.Retry

	Logger *slog.Logger // Default: slog.Default().
}

// SASL is how to log in. Without a User there is no login.
type SASL struct {
	// Mechanism is one of Mechanisms. Default: "PLAIN", which shows the
	// password to whoever reads the network; use it with TLS.
	Mechanism string

	User     string
	Password string
}

// Mechanisms are the ways to log in that are supported.
var Mechanisms = []string{sarama.SASLTypePlaintext, sarama.SASLTypeSCRAMSHA256, sarama.SASLTypeSCRAMSHA512}

const (
	dialTimeout = 2 * time.Second
	readTimeout = 3 * time.Second        // of an answer, after which a connection is given up
	fetchWait   = 500 * time.Millisecond // of a fetch without news
	calm        = time.Second            // without an error, and a new reader counts as working
	refresh     = 5 * time.Second        // between two looks for added partitions
	adoption    = 30 * time.Second       // before added partitions are written to

	// maxRecord is the most that Publish takes: far more than an envelope of
	// a Bus has, and less than what we let the topic take.
	maxRecord   = 5 << 20
	maxOverhead = 64 << 10
)

func (c *Config) fill() error {
	if len(c.Brokers) == 0 {
		return errors.New("kafka: no brokers are configured: give host:port of one or more")
	}
	for _, addr := range c.Brokers {
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
			return fmt.Errorf("kafka: the broker %q is not of the form host:port", addr)
		}
	}
	if m := c.SASL.Mechanism; m != "" && !slices.Contains(Mechanisms, m) {
		return fmt.Errorf("kafka: SASL.Mechanism is %q, possible are %s", m, strings.Join(Mechanisms, ", "))
	}
	if c.Topic == "" {
		c.Topic = "carillon"
	}
	if c.Partitions <= 0 {
		c.Partitions = 8
	}
	if c.Retention <= 0 {
		c.Retention = 10 * time.Minute
	}
	c.Retention = max(c.Retention, time.Second)
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if err := c.sarama(context.Background()).Validate(); err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	return nil
}

// sarama returns the settings of a client whose connections end with ctx.
func (c *Config) sarama(ctx context.Context) *sarama.Config {
	s := sarama.NewConfig()
	s.ClientID = "carillon"
	s.Version = sarama.V2_8_0_0
	s.ChannelBufferSize = 32

	s.Net.Proxy.Enable = true
	s.Net.Proxy.Dialer = dialer{ctx, c.Dial}
	s.Net.DialTimeout = dialTimeout
	s.Net.ReadTimeout = readTimeout
	s.Net.WriteTimeout = readTimeout
	if c.TLS != nil {
		s.Net.TLS.Enable = true
		s.Net.TLS.Config = c.TLS
	}
	if c.SASL.User != "" {
		s.Net.SASL.Enable = true
		s.Net.SASL.Handshake = true
		s.Net.SASL.Version = sarama.SASLHandshakeV1
		s.Net.SASL.Mechanism = sarama.SASLTypePlaintext
		if c.SASL.Mechanism != "" {
			s.Net.SASL.Mechanism = sarama.SASLMechanism(c.SASL.Mechanism)
		}
		s.Net.SASL.User = c.SASL.User
		s.Net.SASL.Password = c.SASL.Password
		s.Net.SASL.SCRAMClientGeneratorFunc = newSCRAM(s.Net.SASL.Mechanism)
	}

	// One policy of retrying rules: that of the Bus, and of the reader here.
	s.Metadata.Retry.Max = 0
	s.Metadata.Full = false // of our topic alone, and only when it is needed
	s.Metadata.AllowAutoTopicCreation = false
	s.Metadata.RefreshFrequency = refresh
	s.Admin.Retry.Max = 0
	s.Admin.Timeout = readTimeout

	// One record per request: sarama would fill a batch up to the size that a
	// single record may have, and the broker then refuses all of it.
	s.Producer.Flush.MaxMessages = 1
	s.Producer.MaxMessageBytes = maxRecord + maxOverhead
	s.Producer.RequiredAcks = sarama.WaitForAll
	s.Producer.Timeout = readTimeout
	s.Producer.Retry.Max = 0
	s.Producer.Return.Successes = true

	s.Consumer.MaxWaitTime = fetchWait
	s.Consumer.Return.Errors = true // Watermill forgets to read them; we do
	return s
}

// A dialer makes connections that are cut when ctx ends: sarama watches no
// context, and nothing else makes all its calls return at once.
type dialer struct {
	ctx  context.Context
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (d dialer) Dial(network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, dialTimeout)
	defer cancel()
	c, err := d.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &conn{c, context.AfterFunc(d.ctx, func() { c.Close() })}, nil
}

type conn struct {
	net.Conn
	forget func() bool
}

func (c *conn) Close() error {
	c.forget()
	return c.Conn.Close()
}

// sleep waits for d, or until wake is closed or ctx ends.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
	}
}
