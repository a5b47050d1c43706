package redis

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/carillonhq/carillon/broker/internal/links"
)

// A writer is the client that Watermill's Publisher sees.
type writer struct {
	redis.UniversalClient
	links *links.Links
	cfg   *Config

	mu      sync.Mutex // guards touched
	touched map[string]time.Time
}

// Close leaves the client to the driver. Watermill would close it, which it
// does not own.
func (w *writer) Close() error { return nil }

// XAdd fails fast, as the Bus retries, and tells how it went. From time to time
// it renews the expiry of the stream: the topic of a node that is gone must
// not stay for ever because somebody wrote to it last.
func (w *writer) XAdd(ctx context.Context, a *redis.XAddArgs) *redis.StringCmd {
	var cmd *redis.StringCmd
	if w.due(a.Stream) {
		pipe := w.Pipeline()
		cmd = pipe.XAdd(ctx, a)
		pipe.Expire(ctx, a.Stream, streamTTL)
		pipe.Exec(ctx) // what matters is the outcome of cmd
	} else {
		cmd = w.UniversalClient.XAdd(ctx, a)
	}
	if err := cmd.Err(); err != nil {
		w.mu.Lock()
		clear(w.touched) // Redis may come back empty
		w.mu.Unlock()
		w.links.Failed(links.Publisher, a.Stream, w.cfg.explain(err))
	} else {
		w.links.AllWorked(links.Publisher) // nobody may ever try again what failed on another topic
	}
	return cmd
}

func (w *writer) due(stream string) bool {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.Sub(w.touched[stream]) < streamTTL/4 {
		return false
	}
	if w.touched == nil || len(w.touched) > 4096 {
		w.touched = make(map[string]time.Time)
	}
	w.touched[stream] = now
	return true
}
