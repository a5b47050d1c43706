package bridge_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/bridge"
	"github.com/carillonhq/carillon/broker/brokertest"
)

// open bridges Watermill's own pub/sub for one process. Without the option it
// keeps no order.
func open(t *testing.T, n int) []broker.Driver {
	ch := gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true}, nil)
	t.Cleanup(func() { ch.Close() })
	var ds []broker.Driver
	for range n {
		ds = append(ds, bridge.New(bridge.KeepOpenPublisher(ch), func(context.Context, string) (message.Subscriber, error) {
			return bridge.KeepOpen(ch), nil
		}, bridge.Options{}))
	}
	return ds
}

func TestContract(t *testing.T) { brokertest.Run(t, open) }

func TestBus(t *testing.T) { brokertest.RunBus(t, open) }

// stuck is a publisher that ignores contexts, and returns only when closed.
type stuck struct {
	published chan string
	closed    chan struct{}
}

func (s *stuck) Publish(_ string, ms ...*message.Message) error {
	s.published <- string(ms[0].Payload)
	<-s.closed
	return errors.New("closed")
}

func (s *stuck) Close() error { close(s.closed); return nil }

func TestPublishGivesUp(t *testing.T) {
	s := &stuck{make(chan string, 10), make(chan struct{})}
	d := bridge.New(s, nil, bridge.Options{})
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := d.Publish(ctx, "t", []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		cancel()
	}
	<-s.published // however late its goroutine runs
	if n := len(s.published); n != 0 {
		t.Errorf("the library was called %d times at once, want 1", n+1)
	}
	if err := d.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := d.Publish(t.Context(), "t", nil); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// feed is a subscriber that delivers what the test says.
type feed chan *message.Message

func (f feed) Subscribe(context.Context, string) (<-chan *message.Message, error) { return f, nil }
func (f feed) Close() error                                                       { close(f); return nil }

func TestEmptyPayloads(t *testing.T) {
	f := make(feed)
	d := bridge.New(bridge.KeepOpenPublisher(nil), func(context.Context, string) (message.Subscriber, error) { return f, nil }, bridge.Options{})
	got := make(chan []byte, 2)
	if _, err := d.Subscribe(t.Context(), "t", func(b []byte) { got <- b }); err != nil {
		t.Fatal(err)
	}
	empty, full := message.NewMessage("", nil), message.NewMessage("", []byte("x"))
	f <- empty
	f <- full
	<-empty.Acked()
	<-full.Acked()
	if len(got) != 1 || string(<-got) != "x" {
		t.Error("the empty message was handed over")
	}
	if err := d.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// fragile is a publisher that, as Watermill's for Redis Streams does, touches
// in Close what it reads in Publish.
type fragile struct {
	entered, leave chan struct{}
	busy           atomic.Int32
	t              *testing.T
}

func (f *fragile) Publish(string, ...*message.Message) error {
	f.busy.Add(1)
	defer f.busy.Add(-1)
	f.entered <- struct{}{}
	<-f.leave
	return errors.New("interrupted")
}

func (f *fragile) Close() error {
	if f.busy.Load() != 0 {
		f.t.Error("the publisher was closed while it published")
	}
	return nil
}

func TestCloseWaitsForPublish(t *testing.T) {
	f := &fragile{entered: make(chan struct{}), leave: make(chan struct{}), t: t}
	d := bridge.New(f, nil, bridge.Options{ContextPublish: true, Interrupt: func() { close(f.leave) }})
	done := make(chan error)
	go func() { done <- d.Publish(context.Background(), "t", []byte("x")) }()
	<-f.entered
	for range 2 {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if err := <-done; !errors.Is(err, broker.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}
