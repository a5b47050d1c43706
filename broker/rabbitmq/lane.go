package rabbitmq

import (
	wm "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
)

// A lane is one channel in confirm mode: Watermill's Publisher with a pool of
// one, made anew after every failure, as its pool shrinks with each channel
// that cannot be replaced, and blocks for ever when it is empty. It waits for
// each confirmation, so there are several lanes: with a single one, 16 callers
// publish no more than one does, and with 16 four times as much.
type lane struct {
	session *session // that pub belongs to
	pub     *wm.Publisher
	closed  chan *amqp.Error // has why RabbitMQ closed the channel
}

func (l *lane) publish(s *session, topic string, ms []*message.Message) error {
	select {
	case <-l.closed:
		l.pub = nil
	default:
	}
	if l.session != s || l.pub == nil {
		l.session, l.closed = s, nil
		pub, err := wm.NewPublisherWithConnection(wm.Config{
			Marshaler: marshaler{},
			Exchange:  wm.ExchangeConfig{GenerateName: wm.GenerateExchangeNameConstant(exchange)},
			Publish: wm.PublishConfig{
				GenerateRoutingKey: func(topic string) string { return topic },
				ChannelPoolSize:    1,
				ConfirmDelivery:    true,
			},
			TopologyBuilder: watchChannel{l: l},
		}, s.log, s.wm)
		if err != nil {
			return err
		}
		l.pub = pub
	}
	err := l.pub.Publish(topic, ms...)
	if err == nil {
		return nil
	}
	select {
	case e := <-l.closed:
		if e != nil {
			err = e // Watermill says only that there was no confirmation
		}
	default:
	}
	l.pub.Close()
	l.pub = nil
	return err
}

// watchChannel is called with the channel of a lane before its first use. The
// exchange need not be declared.
type watchChannel struct {
	wm.TopologyBuilder
	l *lane
}

// ExchangeDeclare implements wm.TopologyBuilder.
func (w watchChannel) ExchangeDeclare(ch *amqp.Channel, _ string, _ wm.Config) error {
	if w.l.closed == nil {
		w.l.closed = ch.NotifyClose(make(chan *amqp.Error, 1))
	}
	return nil
}
