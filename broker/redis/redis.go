package redis

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/bridge"
	"github.com/carillonhq/carillon/broker/internal/links"
)

// Open connects to Redis. It fails, in words that say what to change, if Redis
// does not answer before ctx is done.
func Open(ctx context.Context, cfg Config) (broker.Driver, error) {
	cfg.fill()
	opts, err := cfg.options()
	if err != nil {
		return nil, err
	}
	client := redis.NewClient(opts)
	d := &driver{client: client, addr: opts.Addr, links: links.New()}
	// A user that may not ping may yet be allowed all that matters.
	if err := client.Ping(ctx).Err(); err != nil && !redis.HasErrorPrefix(err, "NOPERM") {
		return nil, errors.Join(explain(opts.Addr, err), client.Close())
	}
	pub, err := redisstream.NewPublisher(redisstream.PublisherConfig{
		Client:        &writer{UniversalClient: client, links: d.links, addr: opts.Addr},
		Marshaller:    marshaller{},
		DefaultMaxlen: cfg.MaxLen,
	}, watermill.NopLogger{})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("redis: %w", err), client.Close())
	}
	d.Driver = bridge.New(pub, func(ctx context.Context, topic string) (message.Subscriber, error) {
		return subscriber(ctx, cfg, topic, d.links)
	}, bridge.Options{
		ContextPublish: true,
		// go-redis does not watch the context of a call that waits for an
		// answer; without its connections the call returns at once.
		Interrupt: func() { d.closeErr = client.Close() },
	})
	return d, nil
}

// A driver is the bridge over Watermill's Redis Streams, and tells of its
// links.
type driver struct {
	broker.Driver
	client redis.UniversalClient
	addr   string
	links  *links.Links

	closeErr error // of client; set within the first Close of the bridge
}

var _ broker.Linked = (*driver)(nil)

// OnLink implements broker.Linked.
func (d *driver) OnLink(f func(broker.Link)) { d.links.On(f) }

func (d *driver) Publish(ctx context.Context, topic string, data []byte) error {
	err := d.Driver.Publish(ctx, topic, data)
	if err != nil && !errors.Is(err, broker.ErrClosed) {
		err = explain(d.addr, err)
	}
	return err
}

func (d *driver) Close() error {
	d.links.Close()
	return errors.Join(d.Driver.Close(), d.closeErr)
}

// subscriber returns a Watermill Subscriber for one topic.
func subscriber(ctx context.Context, cfg Config, topic string, l *links.Links) (message.Subscriber, error) {
	r, err := openReader(ctx, cfg, topic, l)
	if err != nil {
		return nil, err
	}
	// Fan-out: without a consumer group every subscriber reads everything.
	// Where it begins is decided in the reader: Watermill's "$" is resolved
	// when the first read reaches Redis, after Subscribe has returned, and
	// again with every read until the first message.
	s, err := redisstream.NewSubscriber(redisstream.SubscriberConfig{
		Client:       r,
		Unmarshaller: unmarshaller{topic, cfg.Hooks.Foreign},
		// The reader returns an error only when it is closed.
		ShouldStopOnReadErrors: func(error) bool { return true },
	}, watermill.NopLogger{})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("redis: %w", err), r.Close())
	}
	return s, nil
}

// field is the only field of our entries.
const field = "e"

type marshaller struct{}

// Marshal leaves out Watermill's UUID and metadata, which we do not use.
func (marshaller) Marshal(_ string, m *message.Message) (map[string]any, error) {
	return map[string]any{field: []byte(m.Payload)}, nil
}

type unmarshaller struct {
	topic   string
	foreign func(topic string)
}

// Unmarshal never fails, as that would end the subscription: an entry that is
// not ours has no payload, and the bridge drops it.
func (u unmarshaller) Unmarshal(values map[string]any) (*message.Message, error) {
	s, ok := values[field].(string)
	if !ok && u.foreign != nil {
		u.foreign(u.topic)
	}
	return message.NewMessage("", []byte(s)), nil
}
