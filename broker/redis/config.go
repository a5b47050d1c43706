package redis

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/carillonhq/carillon/broker"
)

// Config says where Redis is, and how to use it.
type Config struct {
	// URL is redis://[user:password@]host[:port][/database], or rediss:// for
	// TLS. Required.
	URL string

	// Password, if set, is used instead of the one in URL.
	Password string

	// MaxLen bounds the entries kept of each stream, approximately: how far a
	// node may fall behind and still lose nothing. Default: 10000.
	MaxLen int64

	// Retry is how the readers reconnect. Publish never retries by itself.
	Retry broker.Retry

	Logger *slog.Logger // Default: slog.Default().
	Hooks  Hooks
}

// Hooks observe a driver. A nil field is skipped.
type Hooks struct {
	// Foreign is called for each entry of a stream that somebody else wrote.
	Foreign func(topic string)
}

const (
	readTimeout = 2 * time.Second // of an answer, for those whose context has no deadline
	blockTime   = time.Second     // of one read without news
	batch       = 256             // entries of one read
	streamTTL   = 5 * time.Minute // of a stream that nobody uses
)

var errURL = errors.New("redis: the URL is not of the form redis://[user:password@]host[:port][/database] or rediss://…")

func (c *Config) options() (*redis.Options, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" {
		return nil, errURL // err would show the password
	}
	o, err := redis.ParseURL(c.URL)
	if err != nil {
		return nil, errURL
	}
	if c.Password != "" {
		o.Password = c.Password
	}
	// One policy of retrying rules: that of the Bus, and of the readers here.
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.DialTimeout = readTimeout
	o.ReadTimeout = readTimeout
	o.WriteTimeout = readTimeout
	o.ContextTimeoutEnabled = true
	o.PoolSize = 16
	o.PipelinePoolSize = -1
	o.DisableIdentity = true // one command less that a user has to be allowed
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o, nil
}

func (c *Config) fill() {
	if c.MaxLen <= 0 {
		c.MaxLen = 10000
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
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
