package rabbitmq

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/ThreeDotsLabs/watermill"
	wm "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/carillonhq/carillon/broker/internal/links"
)

// A subscriber is the message.Subscriber of one topic: a queue, and one
// connection at a time that consumes it.
type subscriber struct {
	cfg   *Config
	addr  string
	links *links.Links
	topic string
	name  string // among the links

	// What follows belongs to the opener, and then to run.
	queue  string
	fresh  bool // the queue has not been declared yet
	life   *life
	out    chan *message.Message
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	once   sync.Once
	done   chan struct{} // run has ended
}

// A life is one Watermill subscription, up to its first trouble.
type life struct {
	*session
	sub *wm.Subscriber
	in  <-chan *message.Message
}

// openSubscriber declares the queue: from here on it is live.
func openSubscriber(ctx context.Context, cfg *Config, addr, topic string, l *links.Links) (*subscriber, error) {
	s := &subscriber{
		cfg: cfg, addr: addr, links: l, topic: topic, name: topic + "." + rand.Text()[:8],
		out: make(chan *message.Message), done: make(chan struct{}),
	}
	s.rename()
	if err := s.connect(ctx); err != nil {
		return nil, explain(addr, err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

func (s *subscriber) rename() {
	s.queue, s.fresh = s.topic+"."+strings.ToLower(rand.Text()[:16]), true
}

// Subscribe implements message.Subscriber, and is called once.
func (s *subscriber) Subscribe(context.Context, string) (<-chan *message.Message, error) {
	go s.run() // ends with Close
	return s.out, nil
}

// connect begins a life.
func (s *subscriber) connect(ctx context.Context) error {
	session, err := dial(ctx, s.cfg, "carillon "+s.topic)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, session.drop)
	sub, err := wm.NewSubscriberWithConnection(wm.Config{
		Marshaler:       marshaler{},
		Exchange:        wm.ExchangeConfig{GenerateName: wm.GenerateExchangeNameConstant(exchange)},
		Queue:           wm.QueueConfig{GenerateName: wm.GenerateQueueNameConstant(s.queue)},
		QueueBind:       wm.QueueBindConfig{GenerateRoutingKey: func(topic string) string { return topic }},
		Consume:         wm.ConsumeConfig{Qos: wm.QosConfig{PrefetchCount: prefetch}},
		TopologyBuilder: topology{maxBytes: s.cfg.MaxBytes, fresh: s.fresh},
	}, session.log, session.wm)
	if err != nil {
		stop()
		session.end(nil)
		return err
	}
	in, err := sub.Subscribe(context.Background(), s.topic)
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		session.end(func(conn *amqp.Connection) {
			sub.Close()
			if s.fresh {
				s.delete(conn) // it may have been declared, but not bound
			}
		})
		return err
	}
	s.life, s.fresh = &life{session, sub, in}, false
	return nil
}

func (s *subscriber) run() {
	defer close(s.done)
	defer close(s.out)
	for {
		err := s.forward()
		if err == nil {
			s.end()
			break
		}
		s.life.drop()
		s.life.sub.Close()
		if !s.reconnect(explain(s.addr, err)) {
			break
		}
		s.links.Worked(links.Subscriber, s.name)
	}
	s.links.Worked(links.Subscriber, s.name) // or at least nobody waits for it
}

// forward hands on what comes, and returns why nothing comes any more, or nil
// if the subscription is to be closed.
func (s *subscriber) forward() error {
	for {
		select {
		case m, ok := <-s.life.in:
			if !ok {
				return amqp.ErrClosed
			}
			select {
			case s.out <- m:
			case <-s.ctx.Done():
				return nil
			}
		case e := <-s.life.lost:
			return cause(e)
		case err := <-s.life.log.faults:
			select {
			case e := <-s.life.lost: // which is why
				return cause(e)
			default:
				return err
			}
		case <-s.ctx.Done():
			return nil
		}
	}
}

func cause(e *amqp.Error) error {
	if e == nil {
		return amqp.ErrClosed
	}
	return e
}

// reconnect reports whether there is a life again; else there is no need.
func (s *subscriber) reconnect(err error) bool {
	for {
		wake := s.links.Wake()
		n := s.links.Failed(links.Subscriber, s.name, err)
		sleep(s.ctx, s.cfg.Retry.Wait(n), wake)
		ctx, cancel := context.WithTimeout(s.ctx, dialTimeout)
		failed := s.connect(ctx)
		cancel()
		switch {
		case failed == nil:
			return true
		case s.ctx.Err() != nil:
			return false
		}
		if e := new(amqp.Error); errors.As(failed, &e) && e.Code == amqp.NotFound {
			s.rename() // the queue is on a node of RabbitMQ's cluster that is down
		}
		err = explain(s.addr, failed)
	}
}

// end closes the connection and deletes the queue; what cannot be reached is
// left to expire.
func (s *subscriber) end() {
	s.life.session.end(func(conn *amqp.Connection) {
		s.life.sub.Close()
		s.delete(conn)
	})
}

func (s *subscriber) delete(conn *amqp.Connection) {
	ch, err := conn.Channel()
	if err == nil {
		_, err = ch.QueueDelete(s.queue, false, false, false)
	}
	if err != nil {
		s.cfg.Logger.Debug("the queue is left to expire", "queue", s.queue, "err", err)
	}
}

// Close ends run and waits for it.
func (s *subscriber) Close() error {
	s.once.Do(s.cancel)
	<-s.done
	return nil
}

// A topology declares and binds the queue of one life.
type topology struct {
	maxBytes int64
	fresh    bool
}

// ExchangeDeclare implements wm.TopologyBuilder.
func (topology) ExchangeDeclare(*amqp.Channel, string, wm.Config) error { return nil }

func (t topology) declare(ch *amqp.Channel, queue string) error {
	_, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{
		"x-queue-type":       "classic",
		"x-expires":          queueTTL.Milliseconds(),
		"x-max-length-bytes": t.maxBytes,
		"x-overflow":         "drop-head",
	})
	return err
}

// BuildTopology implements wm.TopologyBuilder.
func (t topology) BuildTopology(ch *amqp.Channel, p wm.BuildTopologyParams, _ wm.Config, _ watermill.LoggerAdapter) error {
	if err := t.declare(ch, p.QueueName); err != nil {
		return needs(fmt.Errorf("declare the queue: %w", err), "configure", "the queue")
	}
	if t.fresh {
		// To consume needs the right to read, the lack of which Watermill only
		// logs. Nothing can be in the queue yet, so to ask is harmless.
		if _, _, err := ch.Get(p.QueueName, true); err != nil {
			return needs(fmt.Errorf("read the queue: %w", err), "read", "the queue")
		}
	}
	if err := ch.QueueBind(p.QueueName, p.RoutingKey, p.ExchangeName, false, nil); err != nil {
		return needs(fmt.Errorf("bind the queue: %w", err), "write on the queue, and read", "the exchange "+exchange)
	}
	return nil
}
