// Package brokertest holds the contracts of [broker.Driver] and [broker.Bus]
// as tests, for every driver to pass.
package brokertest

import (
	"context"
	"crypto/rand"
	"os"
	"testing"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// Patience is how long a test waits for what should come at once, before it
// fails. It is generous: machines that run tests are busy.
const Patience = 20 * time.Second

// Env returns the environment variable name, which says where a broker is to
// be found. It skips the test, visibly, where it is unset; with
// CARILLON_TEST_STRICT=1 it fails it.
func Env(t testing.TB, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		if os.Getenv("CARILLON_TEST_STRICT") == "1" {
			t.Fatalf("%s is not set, and CARILLON_TEST_STRICT is", name)
		}
		t.Skipf("%s is not set: no broker to test with", name)
	}
	return v
}

// Prefix returns the beginning of a name that no other test uses.
func Prefix() string { return "test-" + rand.Text()[:10] }

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	t.Cleanup(cancel)
	return ctx
}

func publish(t *testing.T, d broker.Driver, topic string, data []byte) {
	t.Helper()
	if err := d.Publish(within(t), topic, data); err != nil {
		t.Fatalf("publish to %s: %v", topic, err)
	}
}

// subscribe returns what comes to the topic.
func subscribe(t *testing.T, d broker.Driver, topic string) (<-chan []byte, broker.Subscription) {
	t.Helper()
	c := make(chan []byte, 1<<14)
	s, err := d.Subscribe(within(t), topic, func(data []byte) { c <- data })
	if err != nil {
		t.Fatalf("subscribe to %s: %v", topic, err)
	}
	return c, s
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(Patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// nothing fails if something is in c. It proves little by itself: first wait
// for something that was said later.
func nothing[T any](t *testing.T, c <-chan T, what string) {
	t.Helper()
	select {
	case v := <-c:
		t.Errorf("got %v, want nothing: %s", v, what)
	default:
	}
}
