package kafka_test

import (
	"strings"
	"testing"

	"github.com/IBM/sarama"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/kafka"
)

func examine(t *testing.T, cfg kafka.Config) brokertest.Findings {
	t.Helper()
	return brokertest.Examine(t, open(t, cfg), "c")
}

// A topic of ours is fine, one of somebody else's may not be.
func TestExamine(t *testing.T) {
	addrs := brokers(t)
	name := topic(t, addrs)
	found := examine(t, kafka.Config{Brokers: addrs, Topic: name})
	found.WantFine(t, 4)
	found.Want(t, "topic", broker.Fine, name+": 8 partitions of 1 replica each, on 1 broker")

	for _, c := range []struct {
		settings map[string]string
		want     broker.Verdict
		words    string
	}{
		{map[string]string{"cleanup.policy": "compact"}, broker.Failed, "cleanup.policy=delete"},
		{map[string]string{"max.message.bytes": "50000"}, broker.Failed, "max.message.bytes=5308416"},
		{map[string]string{"max.message.bytes": "100000"}, broker.Doubtful, "which it has to split"},
		{map[string]string{"retention.ms": "1000"}, broker.Doubtful, "retention.ms=600000"},
		{map[string]string{"retention.ms": "-1"}, broker.Fine, "kept for ever"},
		{map[string]string{"min.insync.replicas": "2"}, broker.Failed, "min.insync.replicas=1"},
	} {
		name := topic(t, addrs)
		entries := map[string]*string{}
		for k, v := range c.settings {
			entries[k] = &v
		}
		detail := &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1, ConfigEntries: entries}
		if err := admin(t, addrs).CreateTopic(name, detail, false); err != nil {
			t.Fatal(err)
		}
		examine(t, kafka.Config{Brokers: addrs, Topic: name}).Want(t, "settings", c.want, c.words)
	}
}

// testExamine has users with less than all rights.
func testExamine(t *testing.T, s *server) {
	a := admin(t, []string{s.plain})
	open(t, kafka.Config{Brokers: []string{s.plain}, Topic: "examined"}).Close()
	as := func(user string) brokertest.Findings {
		return examine(t, kafka.Config{
			Brokers: []string{s.sasl}, Topic: "examined",
			SASL: kafka.SASL{User: user, Password: "correct-horse"},
		})
	}
	granted := func(user, verdict string, ops ...sarama.AclOperation) {
		t.Helper()
		allow(t, a, user, "examined", ops...)
		eventually(t, "the permission is in force", func() bool {
			d, err := kafka.Open(t.Context(), kafka.Config{
				Brokers: []string{s.sasl}, Topic: "examined", Logger: silent,
				SASL: kafka.SASL{User: user, Password: "correct-horse"},
			})
			if err != nil {
				return false
			}
			defer d.Close()
			for _, f := range d.(broker.Inspector).Examine(t.Context(), "c") {
				if f.Check == "permissions" {
					return strings.Contains(f.Text, verdict)
				}
			}
			return false
		})
	}
	granted("none", "may not Read, nor Write the topic examined", sarama.AclOperationDescribe)
	as("none").Want(t, "permissions", broker.Failed, "--allow-principal User:none --topic examined --operation Read --operation Write")
	as("none").Want(t, "settings", broker.Unknown, "DescribeConfigs")
	granted("writer", "may not Read the topic examined", sarama.AclOperationWrite)
	granted("full", "may Read, Write and Describe", sarama.AclOperationRead, sarama.AclOperationWrite, sarama.AclOperationDescribe)
}
