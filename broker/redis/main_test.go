package redis_test

import (
	"os"
	"testing"

	"github.com/carillonhq/carillon/broker/redis"
)

func TestMain(m *testing.M) {
	redis.LogTo(silent) // go-redis tells of every dial that failed
	os.Exit(m.Run())
}
