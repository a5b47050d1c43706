package redis_test

import (
	"context"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/redis"
)

// BenchmarkBus is the Bus beside XADD and XREAD.
func BenchmarkBus(b *testing.B) {
	url := brokertest.Env(b, "CARILLON_TEST_REDIS")
	brokertest.Bench(b, func(b *testing.B, n int) []broker.Driver {
		var ds []broker.Driver
		for range n {
			d, err := redis.Open(b.Context(), redis.Config{URL: url, Logger: silent})
			if err != nil {
				b.Fatal(err)
			}
			ds = append(ds, d)
		}
		return ds
	}, func(b *testing.B, name string, hear func([]byte)) func([]byte) error {
		opts, err := goredis.ParseURL(url)
		if err != nil {
			b.Fatal(err)
		}
		opts.PoolSize = 64
		c := goredis.NewClient(opts)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		b.Cleanup(func() {
			cancel()
			<-done
			c.Del(context.Background(), name)
			c.Close()
		})
		go func() { // ends with ctx
			defer close(done)
			for last := "0"; ctx.Err() == nil; {
				res, err := c.XRead(ctx, &goredis.XReadArgs{Streams: []string{name, last}, Count: 512, Block: 100 * time.Millisecond}).Result()
				if err != nil {
					continue // without news
				}
				for _, m := range res[0].Messages {
					hear([]byte(m.Values["e"].(string)))
					last = m.ID
				}
			}
		}()
		return func(body []byte) error {
			return c.XAdd(ctx, &goredis.XAddArgs{Stream: name, MaxLen: 200_000, Approx: true, Values: []any{"e", body}}).Err()
		}
	})
}
