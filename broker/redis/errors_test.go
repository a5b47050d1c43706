package redis_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/redis"
)

// stacks returns the goroutines that are in our packages or in those we use,
// once they had time to end.
func stacks() string {
	var left []string
	for range 200 {
		buf := make([]byte, 1<<20)
		left = nil
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			for _, part := range []string{"/broker/redis.(", "/broker/bridge.(", "redisstream."} {
				if strings.Contains(g, part) && !strings.Contains(g, "testing.") {
					left = append(left, g)
					break
				}
			}
		}
		if left == nil {
			return ""
		}
		runtime.Gosched()
		<-time.After(5 * time.Millisecond)
	}
	return strings.Join(left, "\n\n")
}

func TestErrors(t *testing.T) {
	s := newServer(t, "--requirepass", "correct-horse")
	refused := strings.TrimPrefix(s.url(), "redis://") // nothing listens yet
	try := func(t *testing.T, cfg redis.Config, want string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		d, err := redis.Open(ctx, cfg)
		if err == nil {
			d.Close()
			t.Fatalf("opened, want an error with %q", want)
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
		for _, secret := range []string{"battery-staple", "correct-horse"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows the password: %v", err)
			}
		}
	}
	try(t, redis.Config{URL: "redis://u:battery-staple@" + refused}, "start Redis there")
	s.start(t)
	addr := "127.0.0.1:" + s.port
	try(t, redis.Config{URL: s.url()}, "wants a password")
	try(t, redis.Config{URL: "redis://:battery-staple@" + addr}, "refuses the user or the password")
	try(t, redis.Config{URL: s.url(), Password: "battery-staple"}, "refuses the user or the password")
	try(t, redis.Config{URL: "rediss://:correct-horse@" + addr}, addr)
	try(t, redis.Config{URL: "http://:battery-staple@" + addr}, "not of the form")
	try(t, redis.Config{URL: "redis://u:battery-staple@[" + addr}, "not of the form")
	try(t, redis.Config{URL: "redis://u:battery-staple@" + addr + "/x"}, "not of the form")
	try(t, redis.Config{}, "not of the form")
	try(t, redis.Config{URL: "redis://u:battery-staple@no-such-host.invalid"}, "cannot be resolved")

	d, err := redis.Open(t.Context(), redis.Config{URL: "redis://:wrong@" + addr, Password: "correct-horse"})
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
}

// A user with the rights that the documentation names can do everything, and
// one with less is told what is missing.
func TestPermissions(t *testing.T) {
	s := newServer(t)
	s.start(t)
	for user, rights := range map[string][]string{"full": {"+ping", "+xadd", "+xread", "+xinfo|stream", "+expire"}, "none": {"+ping"}} {
		if err := s.client(t).ACLSetUser(t.Context(), user, append(rights, "on", ">pw", "~test-*")...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	open := func(user string) error {
		d, err := redis.Open(t.Context(), redis.Config{URL: "redis://" + user + ":pw@127.0.0.1:" + s.port, Logger: silent})
		if err != nil {
			return err
		}
		defer d.Close()
		topic := brokertest.Prefix()
		c := make(chan string, 1)
		if err := d.Publish(t.Context(), topic, []byte("x")); err != nil {
			return err
		}
		if _, err := d.Subscribe(t.Context(), topic, func(b []byte) { c <- string(b) }); err != nil {
			return err
		}
		if err := d.Publish(t.Context(), topic, []byte("y")); err != nil {
			return err
		}
		if got := wait(t, c); got != "y" {
			t.Errorf("got %q", got)
		}
		return nil
	}
	if err := open("full"); err != nil {
		t.Error(err)
	}
	if err := open("none"); err == nil || !strings.Contains(err.Error(), "grant +xadd") {
		t.Errorf("got %v, want what to grant", err)
	}
}
