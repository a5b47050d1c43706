package adapter_test

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
)

// wordy is a socket that has much to say of itself.
type wordy struct{ sink }

func (*wordy) Info() []byte { return make([]byte, 100<<10) }

// A node that begins to read and does not go on costs little, and nothing once
// it says so or is gone.
func TestPagesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buses := openBuses(t, 2)
		c := newCluster(buses[0])
		a := c.Namespace("/")
		for range 10 {
			a.Add(&wordy{sink{a.NewID()}})
		}
		request := func(message string, number uint64) broker.Answer {
			t.Helper()
			g, err := buses[1].Request("adapter", binary.AppendUvarint([]byte(message), number))
			if err != nil {
				t.Fatal(err)
			}
			return g.Wait(t.Context())[0]
		}
		const fetch, next, forget = "\x03\x00\x01/\x00\x00", "\x0c\x00\x00\x00\x00", "\x0a\x00\x00\x00\x00"
		for i := range uint64(70) {
			if answer := request(fetch, i); answer.Err != nil || answer.Body[0] != 1 || len(answer.Body) < 256<<10 {
				t.Fatalf("fetch %d: got %d bytes, %v; want a page of several", i, len(answer.Body), answer.Err)
			}
		}
		if n := c.Pages(); n != 64 {
			t.Errorf("%d answers are kept, want 64", n)
		}
		answer := request(next, 5) // the sixth, and the last of those given up
		if refused, ok := errors.AsType[*broker.RefusedError](answer.Err); !ok || !strings.Contains(refused.Text, "given up") {
			t.Errorf("got %d bytes, %v; want a refusal", len(answer.Body), answer.Err)
		}
		pages := 1
		for more := true; more; pages++ { // of the seventh
			answer := request(next, 6)
			if answer.Err != nil {
				t.Fatal(answer.Err)
			}
			more = answer.Body[0] == 1
		}
		if n := c.Pages(); pages != 4 || n != 63 {
			t.Errorf("read %d pages, and %d answers are kept; want 4 and 63", pages, n)
		}
		if err := buses[1].Broadcast("adapter", []byte(forget+"\x07")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := c.Pages(); n != 62 {
			t.Errorf("%d answers are kept, want 62", n)
		}
		buses[1].Close()
		synctest.Wait()
		if n := c.Pages(); n != 0 {
			t.Errorf("%d answers are kept for a node that is gone", n)
		}
	})
}

func TestAwaitNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := adapter.NewCluster(openBuses(t, 2)[0], adapter.Options{Logger: quiet})
		if err := c.AwaitNodes(t.Context(), 1); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := c.AwaitNodes(ctx, 2)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 other nodes awaited, 1 are up") {
			t.Errorf("got %v", err)
		}
	})
}
