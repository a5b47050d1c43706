package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// A keeper creates our topic of Kafka, at the start and when somebody deletes
// it underneath.
type keeper struct {
	cfg Config
	mu  sync.Mutex // one attempt at a time; those who waited find it done
}

// ensure returns once the topic is there and each partition has a leader that
// answers.
func (k *keeper) ensure(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	client, err := sarama.NewClient(k.cfg.Brokers, k.cfg.sarama(ctx))
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = client.Partitions(k.cfg.Topic)
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		if err := k.create(client); err != nil {
			return errors.Join(ctx.Err(), fmt.Errorf("%w: %w", errCreate, err))
		}
		k.cfg.Logger.Info("created the topic", "topic", k.cfg.Topic)
	} else if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	// Kafka says that a new topic has leaders before they know it themselves.
	for end := time.Now().Add(readTimeout); ; {
		err := k.answers(client)
		if err == nil || ctx.Err() != nil || time.Now().After(end) || !isFresh(err) {
			return errors.Join(ctx.Err(), err)
		}
		sleep(ctx, 50*time.Millisecond, nil)
	}
}

// answers asks every partition for its end.
func (k *keeper) answers(client sarama.Client) error {
	if err := client.RefreshMetadata(k.cfg.Topic); err != nil {
		return err
	}
	all, err := client.Partitions(k.cfg.Topic)
	for _, p := range all {
		if err == nil {
			_, err = client.GetOffset(k.cfg.Topic, p, sarama.OffsetNewest)
		}
	}
	return err
}

// isFresh reports whether err is how a topic looks that was created just now.
func isFresh(err error) bool {
	return errors.Is(err, sarama.ErrUnknownTopicOrPartition) ||
		errors.Is(err, sarama.ErrLeaderNotAvailable) ||
		errors.Is(err, sarama.ErrNotLeaderForPartition)
}

// errCreate tells apart what was forbidden.
var errCreate = errors.New("create the topic")

func (k *keeper) create(client sarama.Client) error {
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return err
	}
	replicas := k.cfg.Replication
	if replicas <= 0 {
		// The answer without our topic had all brokers all the same.
		replicas = min(max(len(client.Brokers()), 1), 3)
	}
	config := map[string]string{
		"cleanup.policy": "delete",
		// What expires are whole segments, so they are to be short; and by
		// the clock of the brokers, as those of the nodes may differ.
		"retention.ms":           millis(k.cfg.Retention),
		"segment.ms":             millis(max(k.cfg.Retention/2, time.Second)),
		"message.timestamp.type": "LogAppendTime",
		"max.message.bytes":      strconv.Itoa(maxRecord + maxOverhead),
	}
	entries := make(map[string]*string)
	for name, value := range config {
		entries[name] = &value
	}
	err = admin.CreateTopic(k.cfg.Topic, &sarama.TopicDetail{
		NumPartitions:     int32(k.cfg.Partitions),
		ReplicationFactor: int16(replicas),
		ConfigEntries:     entries,
	}, false)
	if errors.Is(err, sarama.ErrTopicAlreadyExists) {
		return nil // another node was faster
	}
	return err
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
