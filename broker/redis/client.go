package redis

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// client returns a client for what the mode says, with at most so many
// connections to each Redis. cfg has passed fill.
func (c *Config) client(connections int) (redis.UniversalClient, error) {
	from, err := c.parse()
	if err != nil {
		return nil, err
	}
	o := &redis.UniversalOptions{
		Addrs:            append([]string{from.Addr}, c.Addrs...),
		ClientName:       from.ClientName,
		Protocol:         from.Protocol,
		ConnMaxIdleTime:  from.ConnMaxIdleTime,
		ConnMaxLifetime:  from.ConnMaxLifetime,
		Username:         from.Username,
		Password:         from.Password,
		DB:               from.DB,
		MasterName:       c.Master,
		SentinelUsername: c.SentinelUser,
		SentinelPassword: c.SentinelPassword,
		TLSConfig:        from.TLSConfig,

		// One policy of retrying rules: that of the Bus, and of the readers here.
		MaxRetries:            -1,
		DialerRetries:         1,
		DialTimeout:           readTimeout,
		ReadTimeout:           readTimeout,
		WriteTimeout:          readTimeout,
		ContextTimeoutEnabled: true,
		PoolSize:              connections,
		PipelinePoolSize:      -1,
		DisableIdentity:       true, // one command less that a user has to be allowed
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}
	if c.Password != "" {
		o.Password = c.Password
	}
	if o.TLSConfig != nil {
		if c.TLS != nil {
			o.TLSConfig = c.TLS.Clone()
		} else if c.Mode != Standalone {
			o.TLSConfig.ServerName = "" // that of the URL is only one of them
		}
	}
	switch c.Mode {
	case Cluster:
		cluster := o.Cluster()
		cluster.DisableRoutingPolicies = true // they are learned by COMMAND, which a user may lack
		client := redis.NewClusterClient(cluster)
		client.AddHook(shards{client})
		return client, nil
	case Sentinel:
		return redis.NewFailoverClient(o.Failover()), nil
	default:
		return redis.NewClient(o.Simple()), nil
	}
}

// reach returns once Redis answers; of a Redis Cluster, any of its nodes, as some
// may be away. (A ping goes to one of them, whether it is there or not.)
func reach(ctx context.Context, client redis.UniversalClient) error {
	if c, ok := client.(*redis.ClusterClient); ok {
		_, err := c.MasterForKey(ctx, "any") // which has to know who has which slots
		return err
	}
	return client.Ping(ctx).Err()
}

// shards mends two things of the client of a Redis Cluster. It follows
// redirections, as it has to, but also repeats what failed, on a policy of its
// own: that is turned off. And it learns who took over a part of the cluster
// from redirections alone, which a primary that is gone does not send: so it is
// told to look after every failure.
type shards struct {
	client *redis.ClusterClient
}

// once is a command that is not repeated, except where another node sends for it.
type once struct{ redis.Cmder }

// NoRetry implements redis.Cmder.
func (once) NoRetry() bool { return true }

func (s shards) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s shards) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, once{cmd})
		s.learn(ctx, err)
		return err
	}
}

func (s shards) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		all := make([]redis.Cmder, len(cmds))
		for i, cmd := range cmds {
			all[i] = once{cmd}
		}
		err := next(ctx, all)
		s.learn(ctx, err)
		return err
	}
}

func (s shards) learn(ctx context.Context, err error) {
	if err != nil && !errors.Is(err, redis.Nil) && !errors.Is(err, context.Canceled) {
		s.client.ReloadState(ctx) // in the background
	}
}
