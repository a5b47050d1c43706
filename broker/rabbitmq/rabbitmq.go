package rabbitmq

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/bridge"
	"github.com/carillonhq/carillon/broker/internal/links"
)

// Open connects to RabbitMQ. It fails, in words that say what to change, if
// RabbitMQ does not let it in before ctx is done.
func Open(ctx context.Context, cfg Config) (broker.Driver, error) {
	addr, err := cfg.fill()
	if err != nil {
		return nil, err
	}
	d := &driver{links: links.New()}
	if d.publisher, err = openPublisher(ctx, &cfg, addr, d.links); err != nil {
		return nil, err
	}
	// Watermill does not look at the context of a publish, and one that waits
	// for its confirmation cannot be given up without the connection. So it is
	// left to itself, the next of its topic waits for it, and the heartbeats
	// see to it that none waits for ever.
	d.Driver = bridge.New(d.publisher, func(ctx context.Context, topic string) (message.Subscriber, error) {
		return openSubscriber(ctx, &cfg, addr, topic, d.links)
	}, bridge.Options{OwnPayload: true})
	return d, nil
}

// A driver is the bridge over Watermill's AMQP, and tells of its links.
type driver struct {
	broker.Driver
	publisher *publisher
	links     *links.Links
}

var _ broker.Linked = (*driver)(nil)

// OnLink implements broker.Linked.
func (d *driver) OnLink(f func(broker.Link)) { d.links.On(f) }

func (d *driver) Publish(ctx context.Context, topic string, data []byte) error {
	if len(topic) > maxTopic {
		return errTopic
	}
	// What is known to fail need not wait for what is under way.
	if _, err := d.publisher.usable(); err != nil {
		return err
	}
	return d.Driver.Publish(ctx, topic, data)
}

func (d *driver) Subscribe(ctx context.Context, topic string, h broker.Handler) (broker.Subscription, error) {
	if len(topic) > maxTopic {
		return nil, errTopic
	}
	return d.Driver.Subscribe(ctx, topic, h)
}

func (d *driver) Close() error {
	d.links.Close()
	return d.Driver.Close()
}
