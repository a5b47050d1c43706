package kafka

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/internal/links"
)

// A writer is the Publisher that the bridge sees: that of Watermill, replaced
// by a new one after every failure. sarama's producer closes itself against a
// leader that failed for ten seconds, however soon it is back, and never tells
// of its connections; a new one knows nothing and tries at once.
type writer struct {
	cfg    Config
	keeper *keeper
	links  *links.Links
	spread *spread

	ctx    context.Context // ends in Close, and with it all connections
	cancel context.CancelFunc
	wg     sync.WaitGroup // producers that are to be closed

	mu     sync.Mutex // guards what follows
	closed bool
	now    *producer // nil: make one
}

type producer struct {
	*wmkafka.Publisher
	cut   context.CancelFunc
	users sync.WaitGroup // publishes under way
}

func newWriter(cfg Config, k *keeper, l *links.Links) *writer {
	w := &writer{cfg: cfg, keeper: k, links: l, spread: new(spread)}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// Publish fails fast, as the Bus retries, and tells how it went.
func (w *writer) Publish(topic string, ms ...*message.Message) error {
	for _, m := range ms {
		if len(m.Payload) > maxRecord {
			return fmt.Errorf("%w: %d bytes, a record may have %d", broker.ErrTooLarge, len(m.Payload), maxRecord)
		}
	}
	p, err := w.take()
	if err != nil {
		return err
	}
	err = p.Publish(topic, ms...)
	p.users.Done()
	switch {
	case err == nil:
		w.links.Worked(links.Publisher, "")
		return nil
	case errors.Is(err, sarama.ErrMessageSizeTooLarge), errors.Is(err, sarama.ErrInvalidMessageSize):
		w.links.Worked(links.Publisher, "")
		return fmt.Errorf("%w: raise max.message.bytes of the topic %s: %w", broker.ErrTooLarge, w.cfg.Topic, err)
	}
	explained := explain(w.cfg, "Write", err)
	if w.retire(p) { // else somebody has told of it
		if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			ctx, cancel := context.WithTimeout(w.ctx, readTimeout)
			err := w.keeper.ensure(ctx)
			cancel()
			if err != nil {
				explained = explain(w.cfg, "Describe", err)
			}
		}
		w.links.Failed(links.Publisher, "", explained)
	}
	return explained
}

// take returns a producer to publish with; users.Done is to follow.
func (w *writer) take() (*producer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, broker.ErrClosed
	}
	if w.now == nil {
		ctx, cut := context.WithCancel(w.ctx)
		conf := w.cfg.sarama(ctx)
		conf.Producer.Partitioner = func(string) sarama.Partitioner { return w.spread }
		pub, err := wmkafka.NewPublisher(wmkafka.PublisherConfig{
			Brokers:               w.cfg.Brokers,
			Marshaler:             marshaler{w.cfg.Topic},
			OverwriteSaramaConfig: conf,
		}, watermill.NopLogger{})
		if err != nil { // it does not connect yet
			cut()
			return nil, explain(w.cfg, "Write", err)
		}
		w.now = &producer{Publisher: pub, cut: cut}
	}
	w.now.users.Add(1)
	return w.now, nil
}

// retire has p closed when the last has published with it, and reports whether
// nobody had done so before. The others may succeed: what failed may concern
// the leader of one partition alone.
func (w *writer) retire(p *producer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p == nil || w.now != p {
		return false
	}
	w.now = nil
	w.wg.Go(func() { // ends soon after the last publish, which has timeouts
		p.users.Wait()
		p.cut()
		_ = p.Close() // its connections are cut already
	})
	return true
}

// Close is called when nobody begins to publish any more.
func (w *writer) Close() error {
	w.cancel()
	w.mu.Lock()
	w.closed = true
	p := w.now
	w.mu.Unlock()
	w.retire(p)
	w.wg.Wait()
	return nil
}

// A marshaler makes the topic of the Bus the key of a record, and leaves out
// Watermill's UUID and metadata, which we do not use.
type marshaler struct{ topic string }

func (m marshaler) Marshal(topic string, msg *message.Message) (*sarama.ProducerMessage, error) {
	return &sarama.ProducerMessage{
		Topic: m.topic,
		Key:   sarama.StringEncoder(topic),
		Value: sarama.ByteEncoder(msg.Payload),
	}, nil
}

// spread gives each topic of the Bus one partition: there its order is kept.
// When partitions are added the topics move; but not before all readers know
// the new ones.
type spread struct {
	mu    sync.Mutex // guards what follows
	used  int32      // partitions in use
	more  int32      // partitions there are, if more
	since time.Time  // when more was seen first
}

func (*spread) RequiresConsistency() bool { return true }

func (s *spread) Partition(m *sarama.ProducerMessage, n int32) (int32, error) {
	key, err := m.Key.Encode()
	if err != nil {
		return 0, err
	}
	h := fnv.New32a()
	h.Write(key)
	return int32(h.Sum32() % uint32(s.count(n, time.Now()))), nil
}

func (s *spread) count(n int32, now time.Time) int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.used == 0 || n <= s.used:
		s.used, s.more = n, 0
	case n != s.more:
		s.more, s.since = n, now
	case now.Sub(s.since) >= adoption:
		s.used, s.more = n, 0
	}
	return s.used
}
