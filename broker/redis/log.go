package redis

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

// LogTo sends what go-redis itself has to say, such as each failed dial, to
// logger at debug level, instead of to stderr: the driver reports its links
// by itself. It concerns all of go-redis in this process, so it is for the
// program to call, once, before Open.
func LogTo(logger *slog.Logger) { redis.SetLogger(libraryLog{logger}) }

type libraryLog struct{ *slog.Logger }

func (l libraryLog) Printf(ctx context.Context, format string, v ...any) {
	l.DebugContext(ctx, "go-redis", "text", fmt.Sprintf(format, v...))
}
