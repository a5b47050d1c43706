package kafka

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/internal/links"
)

// A reader reads all of our topic of Kafka, once for all subscriptions, and
// hands each record to those whose topic is its key.
type reader struct {
	cfg    Config
	keeper *keeper
	links  *links.Links

	ctx    context.Context // ends in close, and with it all connections
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex // guards what follows
	started   bool
	subs      map[string][]*subscriber
	positions map[int32]int64 // the next record of each partition; without one, the first that there is
}

func newReader(cfg Config, k *keeper, l *links.Links) *reader {
	r := &reader{cfg: cfg, keeper: k, links: l, subs: make(map[string][]*subscriber)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// subscribe finds the end of all partitions: from here on the subscriber is
// live, whenever the reading begins.
func (r *reader) subscribe(ctx context.Context, topic string) (message.Subscriber, error) {
	ends, err := r.ends(ctx)
	if err != nil {
		return nil, explain(r.cfg, "Describe", errors.Join(ctx.Err(), err))
	}
	s := &subscriber{
		reader: r, topic: topic, from: ends,
		out: make(chan *message.Message), closed: make(chan struct{}),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return nil, broker.ErrClosed
	}
	r.subs[topic] = append(r.subs[topic], s)
	if !r.started {
		r.started = true
		r.positions = maps.Clone(ends)
		r.wg.Go(r.run) // ends with r.ctx
	}
	return s, nil
}

func (r *reader) remove(s *subscriber) {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(r.subs[s.topic]), func(o *subscriber) bool { return o == s })
	if len(left) == 0 {
		delete(r.subs, s.topic)
	} else {
		r.subs[s.topic] = left
	}
}

// ends returns the offset after the last record of each partition.
func (r *reader) ends(ctx context.Context) (map[int32]int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	s, err := wmkafka.NewSubscriber(wmkafka.SubscriberConfig{
		Brokers:               r.cfg.Brokers,
		Unmarshaler:           unmarshaler{},
		OverwriteSaramaConfig: r.cfg.sarama(ctx),
	}, watermill.NopLogger{})
	if err != nil {
		return nil, err
	}
	return s.PartitionOffset(r.cfg.Topic)
}

// run reads until the reader is closed. What fails is not mended but replaced,
// by the policy of retrying, and goes on where it was.
func (r *reader) run() {
	for {
		err := r.session()
		if r.ctx.Err() != nil {
			return
		}
		wake := r.links.Wake()
		if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			ctx, cancel := context.WithTimeout(r.ctx, readTimeout)
			if e := r.keeper.ensure(ctx); e != nil {
				err = e
			}
			cancel()
		}
		n := r.links.Failed(links.Subscriber, "", explain(r.cfg, "Read", err))
		sleep(r.ctx, r.cfg.Retry.Wait(n), wake)
	}
}

// session reads with a Subscriber of Watermill until something fails. Without
// a consumer group it reads everything, which is what a fan-out needs; a group
// for each node would be state that Kafka keeps of nodes that are gone.
func (r *reader) session() error {
	ctx, cut := context.WithCancel(r.ctx)
	defer cut()
	s := &session{reader: r, failed: make(chan error, 1)}
	sub, err := wmkafka.NewSubscriber(wmkafka.SubscriberConfig{
		Brokers:               r.cfg.Brokers,
		Unmarshaler:           unmarshaler{},
		OverwriteSaramaConfig: r.cfg.sarama(ctx),
		Tracer:                s,
	}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	in, err := sub.Subscribe(ctx, r.cfg.Topic)
	if err != nil {
		return err
	}
	defer sub.Close()
	defer cut() // first, as sarama would end a fetch that waits for news
	quiet := time.NewTimer(calm)
	defer quiet.Stop()
	for {
		select {
		case m := <-in:
			if m == nil {
				return s.err()
			}
			r.links.Worked(links.Subscriber, "")
			r.dispatch(m)
			m.Ack()
		case <-quiet.C:
			r.links.Worked(links.Subscriber, "")
		case err := <-s.failed:
			return err
		case <-r.ctx.Done():
			return nil
		}
	}
}

func (r *reader) dispatch(m *message.Message) {
	key, _ := wmkafka.MessageKeyFromCtx(m.Context())
	partition, _ := wmkafka.MessagePartitionFromCtx(m.Context())
	offset, _ := wmkafka.MessagePartitionOffsetFromCtx(m.Context())
	var to []*subscriber
	r.mu.Lock()
	r.positions[partition] = offset + 1
	for _, s := range r.subs[string(key)] {
		if offset >= s.from[partition] {
			to = append(to, s)
		}
	}
	r.mu.Unlock()
	for _, s := range to {
		s.deliver(m.Payload)
	}
}

// position returns where to go on in a partition.
func (r *reader) position(partition int32) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if offset, ok := r.positions[partition]; ok {
		return offset
	}
	return sarama.OffsetOldest // it was added: all that it has is news
}

// lost follows a position that does not exist any more: its records expired,
// or the topic was created anew. What there is now is news to everybody.
func (r *reader) lost(partition int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg.Logger.Warn("the partition begins anew", "topic", r.cfg.Topic, "partition", partition, "position", r.positions[partition])
	delete(r.positions, partition)
	for _, subs := range r.subs {
		for _, s := range subs {
			delete(s.from, partition)
		}
	}
}

func (r *reader) close() {
	r.mu.Lock()
	r.cancel()
	r.mu.Unlock()
	r.wg.Wait()
}

// A subscriber is what the bridge sees of one subscription.
type subscriber struct {
	reader *reader
	topic  string
	from   map[int32]int64 // where it began; guarded by reader.mu
	out    chan *message.Message
	closed chan struct{}
	once   sync.Once

	mu sync.Mutex // held while something is sent to out
}

func (s *subscriber) Subscribe(context.Context, string) (<-chan *message.Message, error) {
	return s.out, nil
}

// deliver waits for the handler: a node that cannot keep up reads no further.
func (s *subscriber) deliver(payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed: // and so is out
		return
	default:
	}
	select {
	case s.out <- message.NewMessage("", payload):
	case <-s.closed:
	case <-s.reader.ctx.Done():
	}
}

func (s *subscriber) Close() error {
	s.once.Do(func() {
		s.reader.remove(s)
		close(s.closed)
		s.mu.Lock()
		defer s.mu.Unlock()
		close(s.out)
	})
	return nil
}

type unmarshaler struct{}

func (unmarshaler) Unmarshal(m *sarama.ConsumerMessage) (*message.Message, error) {
	return message.NewMessage("", m.Value), nil
}
