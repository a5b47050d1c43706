package kafka_test

import (
	"testing"

	"github.com/IBM/sarama"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/kafka"
)

// BenchmarkBus is the Bus beside sarama.
func BenchmarkBus(b *testing.B) {
	addrs := brokers(b)
	brokertest.Bench(b, func(b *testing.B, n int) []broker.Driver {
		name := topic(b, addrs)
		var ds []broker.Driver
		for range n {
			ds = append(ds, open(b, kafka.Config{Brokers: addrs, Topic: name}))
		}
		return ds
	}, func(b *testing.B, name string, hear func([]byte)) func([]byte) error {
		a := admin(b, addrs)
		if a.CreateTopic(name, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false) == nil {
			b.Cleanup(func() { remove(b, admin(b, addrs), name) }) // else it is there
		}
		conf := sarama.NewConfig()
		conf.Version = sarama.V2_8_0_0
		conf.Producer.Return.Successes = true
		conf.Producer.RequiredAcks = sarama.WaitForAll
		// Each has connections of its own: on a common one what is published
		// waits behind a fetch that waits for news.
		in, err := sarama.NewConsumer(addrs, conf)
		if err != nil {
			b.Fatal(err)
		}
		part, err := in.ConsumePartition(name, 0, sarama.OffsetOldest)
		if err != nil {
			b.Fatal(err)
		}
		go func() { // ends with part
			for m := range part.Messages() {
				hear(m.Value)
			}
		}()
		out, err := sarama.NewSyncProducer(addrs, conf)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { out.Close(); part.Close(); in.Close() })
		return func(body []byte) error {
			_, _, err := out.SendMessage(&sarama.ProducerMessage{Topic: name, Value: sarama.ByteEncoder(body)})
			return err
		}
	})
}
