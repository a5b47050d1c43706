package kafka

import (
	"context"
	"errors"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/bridge"
	"github.com/carillonhq/carillon/broker/internal/links"
)

// Open connects to Kafka, and creates the topic if it is absent. It fails, in
// words that say what to change, if that was not possible before ctx is done.
func Open(ctx context.Context, cfg Config) (broker.Driver, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	k := &keeper{cfg: cfg}
	if err := k.ensure(ctx); err != nil {
		return nil, explain(cfg, "Describe", err)
	}
	l := links.New()
	d := &driver{links: l, reader: newReader(cfg, k, l)}
	w := newWriter(cfg, k, l)
	d.Driver = bridge.New(w, func(ctx context.Context, topic string) (message.Subscriber, error) {
		return d.reader.subscribe(ctx, topic)
	}, bridge.Options{})
	return d, nil
}

// A driver is the bridge over Watermill's Kafka, and tells of its links.
type driver struct {
	broker.Driver
	links  *links.Links
	reader *reader
}

var _ broker.Linked = (*driver)(nil)

// OnLink implements broker.Linked.
func (d *driver) OnLink(f func(broker.Link)) { d.links.On(f) }

func (d *driver) Subscribe(ctx context.Context, topic string, h broker.Handler) (broker.Subscription, error) {
	s, err := d.Driver.Subscribe(ctx, topic, h)
	if err != nil && d.reader.ctx.Err() != nil {
		err = errors.Join(broker.ErrClosed, err)
	}
	return s, err
}

func (d *driver) Close() error {
	d.links.Close()
	// The reader first: it may be about to hand something over.
	d.reader.close()
	return d.Driver.Close()
}
