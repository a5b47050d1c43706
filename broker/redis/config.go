package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/carillonhq/carillon/broker"
)

// Config says where Redis is, and how to use it.
type Config struct {
	// URL is redis://[user:password@]host[:port][/database], or rediss:// for
	// TLS. The user is one of Redis's ACL, and may stand without a password. The
	// host is that of what Mode says; the rest concerns the Redis behind it.
	// Required.
	URL string

	// Password, if set, is used instead of the one in URL.
	Password string

	// Mode is how Redis is run. Default: Standalone.
	Mode Mode

	// Addrs are host:port of further nodes of the Redis Cluster, or of further
	// Sentinels, to ask where the one in URL is away. Not for Standalone.
	Addrs []string

	// Master is the name by which the Sentinels know what they watch. Required
	// for Sentinel.
	Master string

	// SentinelUser and SentinelPassword are for the Sentinels themselves, where
	// they want some: those in URL are not shown to them. Optional.
	SentinelUser     string
	SentinelPassword string

	// TLS is used with rediss://, for Redis and Sentinels alike. Without a
	// ServerName each has to have a certificate for the host that it is reached
	// by. Default: what the system trusts.
	TLS *tls.Config

	// MaxLen bounds the entries kept of each stream, approximately: how far a
	// node may fall behind and still lose nothing. Default: 10000.
	MaxLen int64

	// Retry is how the readers reconnect. Publish never retries by itself.
	Retry broker.Retry

	Logger *slog.Logger // Default: slog.Default().
	Hooks  Hooks
}

// A Mode is how Redis is run.
type Mode string

// The modes.
const (
	// Standalone is one Redis, or an address behind which there always is one.
	Standalone Mode = "standalone"

	// Cluster is a Redis Cluster: its nodes are found by any of them. It has no
	// database but 0.
	Cluster Mode = "cluster"

	// Sentinel is a primary with replicas, of which the Sentinels know who is
	// the primary.
	Sentinel Mode = "sentinel"
)

// Hooks observe a driver. A nil field is skipped.
type Hooks struct {
	// Foreign is called for each entry of a stream that somebody else wrote.
	Foreign func(topic string)
}

const (
	readTimeout = 2 * time.Second // of an answer, for those whose context has no deadline
	blockTime   = time.Second     // of one read without news
	batch       = 256             // entries of one read
	publishers  = 16              // connections to publish by, as many as a Bus uses at once
	streamTTL   = 5 * time.Minute // of a stream that nobody uses
)

var errURL = errors.New("redis: the URL is not of the form redis://[user:password@]host[:port][/database] or rediss://…")

// fill sets what is missing, and refuses what cannot work.
func (c *Config) fill() error {
	o, err := c.parse()
	if err != nil {
		return err
	}
	switch c.Mode {
	case "":
		c.Mode = Standalone
	case Standalone, Cluster, Sentinel:
	default:
		return fmt.Errorf("redis: Mode is %q, possible are %s, %s and %s", c.Mode, Standalone, Cluster, Sentinel)
	}
	switch {
	case c.Mode == Standalone && len(c.Addrs) > 0:
		return fmt.Errorf("redis: Addrs are for the modes %s and %s", Cluster, Sentinel)
	case c.Mode == Cluster && o.DB != 0:
		return fmt.Errorf("redis: the URL names the database %d: a Redis Cluster has no other than 0", o.DB)
	case c.Mode == Sentinel && c.Master == "":
		return errors.New("redis: Master is missing, the name by which the Sentinels know what they watch")
	}
	for _, addr := range c.Addrs {
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
			return fmt.Errorf("redis: %q in Addrs is not of the form host:port", addr)
		}
	}
	if c.MaxLen <= 0 {
		c.MaxLen = 10000
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

func (c *Config) parse() (*redis.Options, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" {
		return nil, errURL // err would show the password
	}
	o, err := redis.ParseURL(c.URL)
	if err != nil {
		return nil, errURL
	}
	return o, nil
}

// sleep waits for d, or until one of the channels is closed.
func sleep(ctx context.Context, d time.Duration, wake, closed <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-closed:
	case <-ctx.Done():
	}
}
