package kafka

import (
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// A session is put between Watermill and sarama's consumer, where Watermill
// lets tracers in. Watermill asks once which partitions there are, starts each
// at its end, and hears neither of errors nor of one that stopped for good.
// Here it sees a single partition, which is all of them: from where we were,
// those that are added included, and every error ends the session.
type session struct {
	reader *reader
	failed chan error // takes the first error
}

func (s *session) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// err returns why the session ended.
func (s *session) err() error {
	select {
	case err := <-s.failed:
		return err
	default:
		return errors.New("the consumer stopped")
	}
}

// WrapConsumer and what follows implement Watermill's SaramaTracer.
func (s *session) WrapConsumer(c sarama.Consumer) sarama.Consumer { return consumer{c, s} }

func (s *session) WrapPartitionConsumer(c sarama.PartitionConsumer) sarama.PartitionConsumer {
	return c
}

func (s *session) WrapConsumerGroupHandler(h sarama.ConsumerGroupHandler) sarama.ConsumerGroupHandler {
	return h
}

func (s *session) WrapSyncProducer(_ *sarama.Config, p sarama.SyncProducer) sarama.SyncProducer {
	return p
}

type consumer struct {
	sarama.Consumer
	session *session
}

func (consumer) Partitions(string) ([]int32, error) { return []int32{0}, nil }

func (c consumer) ConsumePartition(topic string, _ int32, _ int64) (sarama.PartitionConsumer, error) {
	p := &partitions{
		consumer: c.Consumer, session: c.session, topic: topic,
		messages: make(chan *sarama.ConsumerMessage), closed: make(chan struct{}),
		parts: make(map[int32]sarama.PartitionConsumer),
	}
	if err := p.update(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.watching.Go(p.watch) // ends in Close
	return p, nil
}

// partitions is all partitions of a topic as one.
type partitions struct {
	sarama.PartitionConsumer // nil: Watermill calls no other methods
	consumer                 sarama.Consumer
	session                  *session
	topic                    string

	messages chan *sarama.ConsumerMessage
	closed   chan struct{}
	once     sync.Once
	watching sync.WaitGroup
	wg       sync.WaitGroup                     // two for each of parts
	parts    map[int32]sarama.PartitionConsumer // of watch, and of Close when it has ended
}

func (p *partitions) Messages() <-chan *sarama.ConsumerMessage { return p.messages }

// update starts the partitions that are not read yet.
func (p *partitions) update() error {
	all, err := p.consumer.Partitions(p.topic)
	if err != nil {
		return err
	}
	r := p.session.reader
	for _, n := range all {
		if p.parts[n] != nil {
			continue
		}
		part, err := p.consumer.ConsumePartition(p.topic, n, r.position(n))
		if errors.Is(err, sarama.ErrOffsetOutOfRange) {
			r.lost(n)
			part, err = p.consumer.ConsumePartition(p.topic, n, r.position(n))
		}
		if err != nil {
			return err
		}
		p.parts[n] = part
		p.wg.Go(func() { // ends when part has ended, in Close or by itself
			for m := range part.Messages() {
				select {
				case p.messages <- m:
				case <-p.closed:
				}
			}
		})
		p.wg.Go(func() { // as above
			for e := range part.Errors() {
				p.session.fail(e.Err)
			}
		})
	}
	return nil
}

func (p *partitions) watch() {
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := p.update(); err != nil {
				p.session.fail(err)
			}
		case <-p.closed:
			return
		}
	}
}

func (p *partitions) Close() error {
	p.once.Do(func() {
		close(p.closed)
		p.watching.Wait()
		for _, part := range p.parts {
			part.AsyncClose()
		}
		p.wg.Wait()
	})
	return nil
}
