package redis

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/internal/links"
)

// A reader is the client that Watermill's Subscriber of one topic sees. It has
// connections of its own, as closing them is the only way to interrupt a
// read that blocks: go-redis does not watch the context meanwhile.
type reader struct {
	redis.UniversalClient
	cfg   *Config
	topic string
	links *links.Links

	closed chan struct{}
	once   sync.Once

	mu      sync.Mutex // held by XRead, which has what follows to itself
	pos     string     // the ID of the last entry read
	entries []redis.XMessage
	touched time.Time // when the expiry of the stream was renewed
	eternal bool      // it may not be renewed
	check   bool      // look whether pos still makes sense
}

// openReader finds the end of the topic: from here on it is live.
func openReader(ctx context.Context, cfg *Config, topic string, l *links.Links) (*reader, error) {
	client, err := cfg.client(2)
	if err != nil {
		return nil, err
	}
	r := &reader{UniversalClient: client, cfg: cfg, topic: topic, links: l, closed: make(chan struct{})}
	if r.pos, err = r.last(ctx); err == nil {
		// Whether this user may read is better known now than later.
		err = r.UniversalClient.XRead(ctx, &redis.XReadArgs{Streams: []string{topic, r.pos}, Count: 1, Block: -1}).Err()
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, errors.Join(cfg.explain(err), r.UniversalClient.Close())
	}
	return r, nil
}

// last returns the greatest ID that the stream ever had; without a stream, all
// that it will have is news.
func (r *reader) last(ctx context.Context) (string, error) {
	info, err := r.XInfoStream(ctx, r.topic).Result()
	if err != nil {
		if strings.Contains(err.Error(), "no such key") {
			return "0-0", nil
		}
		return "", err
	}
	return info.LastGeneratedID, nil
}

// XRead returns the next entry. Watermill asks for one at a time, with a read
// that blocks for ever and then sleeps half a second on every error. Here many
// are read at once, reads end so that the stream's expiry is renewed and dead
// connections are noticed, and errors are retried by the policy.
// It returns an error only when the reader is closed.
func (r *reader) XRead(ctx context.Context, _ *redis.XReadArgs) *redis.XStreamSliceCmd {
	r.mu.Lock()
	defer r.mu.Unlock()
	cmd := redis.NewXStreamSliceCmd(ctx)
	for len(r.entries) == 0 {
		err := r.read(ctx)
		if r.over(ctx) {
			cmd.SetErr(broker.ErrClosed)
			return cmd
		}
		if err == nil {
			r.links.Worked(links.Subscriber, r.topic)
			continue
		}
		r.check = true
		r.touched = time.Time{}
		wake := r.links.Wake()
		n := r.links.Failed(links.Subscriber, r.topic, r.cfg.explain(err))
		sleep(ctx, r.cfg.Retry.Wait(n), wake, r.closed)
	}
	cmd.SetVal([]redis.XStream{{Stream: r.topic, Messages: r.entries[:1:1]}})
	r.entries = r.entries[1:]
	return cmd
}

func (r *reader) over(ctx context.Context) bool {
	select {
	case <-r.closed:
		return true
	default:
		return ctx.Err() != nil
	}
}

// read waits for entries, but not for ever.
func (r *reader) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, blockTime+readTimeout)
	defer cancel()
	if r.check {
		last, err := r.last(ctx)
		if err != nil {
			return err
		}
		if before(last, r.pos) {
			// IDs are times, so ours outlives even a Redis that comes back
			// empty, unless its clock went back: then we would wait for ever.
			// To read some entries twice does no harm.
			r.cfg.Logger.Warn("the stream begins anew", "topic", r.topic, "last", last, "position", r.pos)
			r.pos = "0-0"
		}
		r.check = false
	}
	if now := time.Now(); now.Sub(r.touched) > streamTTL/4 {
		there, err := r.Expire(ctx, r.topic, streamTTL).Result()
		switch {
		case redis.HasErrorPrefix(err, "NOPERM"):
			if !r.eternal {
				r.eternal = true
				r.cfg.Logger.Warn("streams that nobody uses any more will stay in Redis", "topic", r.topic, "err", r.cfg.explain(err))
			}
		case err != nil:
			return err
		case !there:
			r.pos = "0-0" // as for a new subscriber
		}
		r.touched = now
	}
	res, err := r.UniversalClient.XRead(ctx, &redis.XReadArgs{
		Streams: []string{r.topic, r.pos},
		Count:   batch,
		Block:   blockTime,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, s := range res {
		r.entries = s.Messages
		if n := len(s.Messages); n > 0 {
			r.pos = s.Messages[n-1].ID
		}
	}
	return nil
}

// Close interrupts XRead and waits for it.
func (r *reader) Close() error {
	var err error
	r.once.Do(func() {
		close(r.closed)
		err = r.UniversalClient.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.links.Worked(links.Subscriber, r.topic) // or at least nobody waits for it
	})
	return err
}

// before reports whether ID a is smaller than b.
func before(a, b string) bool {
	ams, aseq := split(a)
	bms, bseq := split(b)
	return ams < bms || ams == bms && aseq < bseq
}

func split(id string) (ms, seq uint64) {
	a, b, _ := strings.Cut(id, "-")
	ms, _ = strconv.ParseUint(a, 10, 64)
	seq, _ = strconv.ParseUint(b, 10, 64)
	return ms, seq
}
