package redis_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/redis"
)

// testFrozen has all servers stop answering, though their connections stand: no
// call of a driver waits for them longer than it may, and nothing stays.
func testFrozen(t *testing.T, cfg redis.Config, servers []*server) {
	d := openAll(t, cfg, 1)[0]
	roundTrip(t, d)
	for _, s := range servers {
		if s.cmd == nil {
			continue // killed before
		}
		check(t, s.cmd.Process.Signal(syscall.SIGSTOP))
		defer s.cmd.Process.Signal(syscall.SIGCONT)
	}
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		begin := time.Now()
		err := d.Publish(ctx, brokertest.Prefix(), []byte("x"))
		cancel()
		if took := time.Since(begin); err == nil || took > time.Second {
			t.Errorf("publish: got %v after %v, want an error within its 100ms", err, took)
		}
	}
	begin := time.Now()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("close took %v", took)
	}
	if got := stacks(); got != "" {
		t.Errorf("goroutines are left:\n%s", got)
	}
}
