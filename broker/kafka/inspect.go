package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/carillonhq/carillon/broker"
)

var _ broker.Inspector = (*driver)(nil)

// Examine implements broker.Inspector, over connections of its own. It writes
// nothing, and needs no right that a node does not need: what this user may not
// see is said to be unknown.
func (d *driver) Examine(ctx context.Context, _ string) []broker.Finding {
	cfg := d.reader.cfg
	client, err := sarama.NewClient(cfg.Brokers, cfg.sarama(ctx))
	if err != nil {
		return failed(cfg, err)
	}
	defer client.Close()
	// From it the client knows who answers all the rest.
	if err := client.RefreshMetadata(cfg.Topic); err != nil {
		return failed(cfg, errors.Join(ctx.Err(), err))
	}
	e := &examination{cfg: cfg, client: client}
	return append(append([]broker.Finding{e.version()}, e.topic()...), e.settings())
}

func failed(cfg Config, err error) []broker.Finding {
	return []broker.Finding{{Check: "topic", Verdict: broker.Failed, Text: explain(cfg, "Describe", err).Error()}}
}

// An examination is one look at Kafka.
type examination struct {
	cfg      Config
	client   sarama.Client
	replicas int // of the partition that has the fewest
}

// describeCluster is a request that Kafka 2.8 brought (Kafka's protocol guide,
// "API Keys"). Kafka does not tell its version otherwise.
const describeCluster = 60

func (e *examination) version() broker.Finding {
	f := broker.Finding{Check: "version", Text: "Kafka 2.8 or later, or what speaks as it does"}
	b, err := e.client.Controller()
	if err != nil {
		f.Verdict, f.Text = broker.Unknown, explain(e.cfg, "Describe", err).Error()
		return f
	}
	versions, err := b.ApiVersions(new(sarama.ApiVersionsRequest))
	if err != nil {
		f.Verdict, f.Text = broker.Unknown, explain(e.cfg, "Describe", err).Error()
		return f
	}
	for _, k := range versions.ApiKeys {
		if k.ApiKey == describeCluster {
			return f
		}
	}
	f.Verdict = broker.Doubtful
	f.Text = "the brokers speak an older protocol than that of Kafka 2.8"
	f.Advice = "it may work, but 2.8 is the oldest that is supported"
	return f
}

// topic looks at our topic and at what this user may do with it.
func (e *examination) topic() []broker.Finding {
	request := sarama.NewMetadataRequest(e.client.Config().Version, []string{e.cfg.Topic})
	request.IncludeTopicAuthorizedOperations = true
	var answer *sarama.MetadataResponse
	b, err := e.client.Controller()
	if err == nil {
		answer, err = b.GetMetadata(request)
	}
	if err == nil && len(answer.Topics) != 1 {
		err = errors.New("no answer about the topic " + e.cfg.Topic)
	}
	if err == nil && answer.Topics[0].Err != sarama.ErrNoError {
		err = answer.Topics[0].Err
	}
	if err != nil {
		return failed(e.cfg, err)
	}
	return []broker.Finding{e.rights(answer.Topics[0].TopicAuthorizedOperations), e.partitions(answer.Topics[0], len(answer.Brokers))}
}

// rights reads what Kafka allows this user, one bit for each operation.
func (e *examination) rights(allowed int32) broker.Finding {
	f := broker.Finding{Check: "permissions", Text: "this user may Read, Write and Describe the topic " + e.cfg.Topic}
	if allowed == math.MinInt32 {
		f.Verdict, f.Text = broker.Unknown, "Kafka does not tell what this user may do"
		return f
	}
	var denied []string
	for _, need := range []struct {
		name string
		op   sarama.AclOperation
	}{{"Read", sarama.AclOperationRead}, {"Write", sarama.AclOperationWrite}, {"Describe", sarama.AclOperationDescribe}} {
		if allowed&(1<<need.op) == 0 {
			denied = append(denied, need.name)
		}
	}
	if len(denied) > 0 {
		f.Verdict = broker.Failed
		f.Text = fmt.Sprintf("this user may not %s the topic %s", strings.Join(denied, ", nor "), e.cfg.Topic)
		f.Advice = fmt.Sprintf("grant it: kafka-acls.sh --add --allow-principal User:%s --topic %s --operation %s",
			e.cfg.SASL.User, e.cfg.Topic, strings.Join(denied, " --operation "))
	}
	return f
}

func (e *examination) partitions(t *sarama.TopicMetadata, brokers int) broker.Finding {
	f := broker.Finding{Check: "topic"}
	leaderless, behind := 0, 0
	e.replicas = math.MaxInt
	for _, p := range t.Partitions {
		e.replicas = min(e.replicas, len(p.Replicas))
		if p.Leader < 0 {
			leaderless++
		}
		if len(p.Isr) < len(p.Replicas) {
			behind++
		}
	}
	f.Text = fmt.Sprintf("%s: %s of %s each, on %s", t.Name,
		counted(len(t.Partitions), "partition"), counted(e.replicas, "replica"), counted(brokers, "broker"))
	switch {
	case leaderless > 0:
		f.Verdict = broker.Failed
		f.Text += fmt.Sprintf("; %d without a leader", leaderless)
		f.Advice = "start the brokers that are missing"
	case behind > 0:
		f.Verdict = broker.Doubtful
		f.Text += fmt.Sprintf("; %d with replicas that are not in sync", behind)
		f.Advice = "look at the brokers that lag, or start those that are missing"
	case e.replicas == 1 && brokers > 1:
		f.Verdict = broker.Doubtful
		f.Text += ": the end of one broker stops the messages that it has"
		f.Advice = fmt.Sprintf("give it %d replicas (kafka-reassign-partitions.sh)", min(brokers, 3))
	}
	return f
}

// settings compares the topic, which somebody may have made by hand, with what
// a topic of ours has.
func (e *examination) settings() broker.Finding {
	f := broker.Finding{Check: "settings"}
	admin, err := sarama.NewClusterAdminFromClient(e.client)
	var entries []sarama.ConfigEntry
	if err == nil {
		entries, err = admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: e.cfg.Topic})
	}
	if err == nil && len(entries) == 0 {
		err = errors.New("none are shown")
	}
	if err != nil {
		f.Verdict, f.Text = broker.Unknown, "this user may not see those of the topic, which needs DescribeConfigs: "+err.Error()
		return f
	}
	set := make(map[string]string)
	for _, entry := range entries {
		set[entry.Name] = entry.Value
	}
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(set[name], 10, 64)
		return n
	}

	retention := time.Duration(min(number("retention.ms"), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
	kept := "for ever"
	if retention >= 0 {
		kept = retention.String()
	}
	most, inSync := number("max.message.bytes"), int(number("min.insync.replicas"))
	f.Text = fmt.Sprintf("messages of up to %d KiB are kept %s, and written to %s at least", most>>10, kept, counted(inSync, "replica"))

	var advice []string
	wrong := func(v broker.Verdict, text, what string) {
		f.Verdict = max(f.Verdict, v)
		f.Text += "; " + text
		advice = append(advice, what)
	}
	if policy := set["cleanup.policy"]; strings.Contains(policy, "compact") {
		wrong(broker.Failed, "the topic is compacted, so that messages are lost, and the last of every node stays for ever", "set cleanup.policy=delete")
	}
	switch {
	case most < smallest:
		wrong(broker.Failed, "a node sends larger ones", fmt.Sprintf("set max.message.bytes=%d", maxRecord+maxOverhead))
	case most < largest:
		wrong(broker.Doubtful, "a busy node sends larger ones, which it has to split", fmt.Sprintf("set max.message.bytes=%d", maxRecord+maxOverhead))
	}
	if retention >= 0 && retention < e.cfg.Retention {
		wrong(broker.Doubtful, "they should be kept "+e.cfg.Retention.String(), fmt.Sprintf("set retention.ms=%d, or lower broker.kafka.retention", e.cfg.Retention.Milliseconds()))
	}
	switch {
	case e.replicas == 0 || e.replicas == math.MaxInt: // unknown
	case inSync > e.replicas:
		wrong(broker.Failed, fmt.Sprintf("there are only %d", e.replicas), fmt.Sprintf("set min.insync.replicas=%d, or add replicas", max(e.replicas-1, 1)))
	case inSync == e.replicas && inSync > 1:
		wrong(broker.Doubtful, "so the end of one broker stops all messages", fmt.Sprintf("set min.insync.replicas=%d", inSync-1))
	case inSync == 1 && e.replicas > 2:
		wrong(broker.Doubtful, "so the end of one broker may lose what was confirmed", "set min.insync.replicas=2")
	}
	f.Advice = strings.Join(advice, "; ")
	return f
}

// What a record of a Bus has at least and at most, and what Kafka adds.
const (
	smallest = 64<<10 + 4<<10
	largest  = 256<<10 + 4<<10
)

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
