package kafka_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/kafka"
)

// The topic is deleted by somebody while a cluster talks: it is created again,
// and the Bus repairs what went with it.
func TestTopicDeletedUnderBus(t *testing.T) {
	addrs := brokers(t)
	name := topic(t, addrs)
	var ds []broker.Driver
	for range 2 {
		ds = append(ds, open(t, kafka.Config{Brokers: addrs, Topic: name, Partitions: 3, Retry: broker.Retry{Max: 500 * time.Millisecond}}))
	}
	k := brokertest.NewTalk(t, ds, broker.Options{})
	a := admin(t, addrs)
	for range 3 {
		k.Say(t, 200)
		if err := a.DeleteTopic(name); err != nil {
			t.Fatal(err)
		}
		k.Say(t, 200)
		begin := time.Now()
		k.Hear(t)
		t.Logf("all was there %v after the topic was deleted", time.Since(begin))
	}
	k.Await(t, broker.Up)
}

// A cable may be pulled.
type cable struct {
	mu     sync.Mutex // guards what follows
	pulled bool
	conns  []net.Conn
}

func (c *cable) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pulled {
		return nil, errors.Join(syscall.ECONNREFUSED, conn.Close())
	}
	c.conns = append(c.conns, conn)
	return conn, nil
}

func (c *cable) pull(out bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = out
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// A node tells that Kafka is away, is degraded after as many retries as the
// policy says, and is well when Kafka is back.
func TestDegraded(t *testing.T) {
	addrs, c := brokers(t), new(cable)
	retry := broker.Retry{Base: 5 * time.Millisecond, Max: 50 * time.Millisecond, Retries: 3}
	d := open(t, kafka.Config{Brokers: addrs, Topic: topic(t, addrs), Dial: c.dial, Retry: retry})
	log := new(brokertest.Log)
	b := brokertest.Cluster(t, []broker.Driver{d}, broker.Options{Retry: retry, Logger: log.Logger()})[0]
	c.pull(true)
	brokertest.AwaitState(t, broker.Degraded, b)
	for _, role := range []string{"publisher", "subscriber"} {
		eventually(t, "the "+role+" tells", func() bool { return strings.Contains(log.String(), `msg="lost the broker" node=n0 role=`+role) })
	}
	if !strings.Contains(log.String(), "start Kafka there") {
		t.Errorf("got\n%s\nwant what to do", log)
	}
	c.pull(false)
	brokertest.AwaitState(t, broker.Up, b)
}

// testRevoked takes a right from a user whose node is up: it is told, what is
// said waits, and comes once and in order when the right is back.
func testRevoked(t *testing.T, s *server) {
	const user, name = "writer", "revoked"
	a := admin(t, []string{s.plain})
	open(t, kafka.Config{Brokers: []string{s.plain}, Topic: name}).Close()
	allow(t, a, user, name, sarama.AclOperationDescribe, sarama.AclOperationRead, sarama.AclOperationWrite)
	cfg := kafka.Config{
		Brokers: []string{s.sasl}, Topic: name, Logger: silent, Retry: broker.Retry{Max: 200 * time.Millisecond},
		SASL: kafka.SASL{User: user, Password: "correct-horse"},
	}
	eventually(t, "the permission is in force", func() bool {
		d, err := kafka.Open(t.Context(), cfg)
		if err == nil {
			err = d.Publish(t.Context(), "t", []byte("x"))
			d.Close()
		}
		return err == nil
	})
	log := new(brokertest.Log)
	k := brokertest.NewTalk(t, []broker.Driver{open(t, cfg), open(t, cfg)}, broker.Options{Logger: log.Logger()})
	k.Say(t, 100)
	k.Hear(t)
	for right, op := range map[string]sarama.AclOperation{"Write": sarama.AclOperationWrite, "Read": sarama.AclOperationRead} {
		_, err := a.DeleteACL(sarama.AclFilter{
			ResourceType: sarama.AclResourceTopic, ResourceName: new(name), ResourcePatternTypeFilter: sarama.AclPatternLiteral,
			Principal: new("User:" + user), Operation: op, PermissionType: sarama.AclPermissionAllow,
		}, false)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the lack of "+right+" is told", func() bool {
			return strings.Contains(log.String(), "grant "+right+" on the topic "+name)
		})
		k.Say(t, 100)
		allow(t, a, user, name, op)
		k.Hear(t)
	}
	k.Await(t, broker.Up)
}
