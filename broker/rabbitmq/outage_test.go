package rabbitmq_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/rabbitmq"
)

// RabbitMQ is low on disk: it says so, what is said waits, and comes once and
// in order when there is room again.
func (s *server) testOutOfDisk(t *testing.T) {
	k := s.talk(t)
	s.ctl(t, "set_disk_free_limit", "1000000GB")
	k.Say(t, 50)
	k.Await(t, broker.Down)
	d := s.open(t, "full")
	eventually(t, "the driver says why", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		err := d.Publish(ctx, brokertest.Prefix(), []byte("x"))
		return err != nil && strings.Contains(err.Error(), "accepts no messages, as it is low on disk: free some of it, or lower its disk_free_limit")
	})
	k.Say(t, 50)
	s.ctl(t, "set_disk_free_limit", "50MB")
	k.Hear(t)
	k.Await(t, broker.Up)
}

// All queues of the cluster are deleted by somebody while it talks: they come
// back, and the Bus repairs what went with them.
func (s *server) testQueuesDeleted(t *testing.T) {
	k := s.talk(t)
	admin, err := amqp.Dial(s.url("full"))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	ch, err := admin.Channel()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		k.Say(t, 200)
		queues := strings.Fields(s.ctl(t, "list_queues", "name", "--no-table-headers"))
		if len(queues) < 4 {
			t.Errorf("got queues %q, want two for each node", queues)
		}
		for _, queue := range queues {
			k.Say(t, 50)
			if _, err := ch.QueueDelete(queue, false, false, false); err != nil {
				t.Fatal(err)
			}
			k.Say(t, 50)
		}
		k.Hear(t)
	}
	k.Await(t, broker.Up)
}

// A node that may not publish says so, and all is well once it may.
func (s *server) testMayNotWrite(t *testing.T) {
	log := new(brokertest.Log)
	b, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) {
		return s.open(t, "no-write"), nil
	}, broker.Options{Cluster: brokertest.Prefix(), Logger: log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	brokertest.AwaitState(t, broker.Down, b)
	eventually(t, "it is said why", func() bool {
		return strings.Contains(log.String(), "role=publisher") && strings.Contains(log.String(), "permission to write on the exchange amq.direct")
	})
	s.ctl(t, "set_permissions", "-p", "/", "no-write", ".*", ".*", ".*")
	brokertest.AwaitState(t, broker.Up, b)
}

// RabbitMQ takes less than it does by default: what it refuses is told as such,
// and a Bus makes do with it.
func (s *server) testTooLarge(t *testing.T) {
	limit := func(bytes int) {
		t.Helper()
		s.ctl(t, "eval", fmt.Sprintf("application:set_env(rabbit, max_message_size, %d).", bytes))
	}
	limit(100_000)
	defer limit(128 << 20)
	d := s.open(t, "full")
	err := d.Publish(t.Context(), brokertest.Prefix(), make([]byte, 100_001))
	if !errors.Is(err, broker.ErrTooLarge) || !strings.Contains(err.Error(), "raise max_message_size") {
		t.Errorf("got %v, want ErrTooLarge and what to raise", err)
	}
	if err := d.Publish(t.Context(), brokertest.Prefix(), make([]byte, 100_000)); err != nil {
		t.Error(err)
	}
	k, heard := s.talk(t), make(chan []byte, 1)
	k.Y.Handle("large", func(m broker.Message) { heard <- m.Body })
	body := make([]byte, 512<<10) // twice what an envelope has at most
	rand.Read(body)               // which nothing compresses
	if err := k.X.Broadcast("large", body); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, heard); !bytes.Equal(got, body) {
		t.Errorf("got %d bytes, want %d", len(got), len(body))
	}
}

// Each failure is told with the role, its number and the reason, until
// RabbitMQ is back; the nodes are degraded after as many as the policy says.
func (s *server) testLinksTold(t *testing.T) {
	retry := broker.Retry{Base: 5 * time.Millisecond, Max: 50 * time.Millisecond, Retries: 3}
	open := func() broker.Driver {
		d, err := rabbitmq.Open(t.Context(), rabbitmq.Config{URL: s.url("full"), Retry: retry, Logger: silent})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
	d, links := open(), make(chan broker.Link, 10000)
	d.(broker.Linked).OnLink(func(l broker.Link) { links <- l })
	if _, err := d.Subscribe(t.Context(), brokertest.Prefix(), func([]byte) {}); err != nil {
		t.Fatal(err)
	}
	x := brokertest.Cluster(t, []broker.Driver{open()}, broker.Options{Retry: retry})[0]

	s.kill()
	tries := map[string]int{}
	for tries["publisher"] < 10 || tries["subscriber"] < 10 {
		l := wait(t, links)
		if tries[l.Role]++; l.Up || l.Attempt != tries[l.Role] || l.Err == nil {
			t.Fatalf("got %+v, want attempt %d and why", l, tries[l.Role])
		}
		if text := l.Err.Error(); l.Attempt > 1 && !strings.Contains(text, "start RabbitMQ there") {
			t.Errorf("got %v, want what to do", text)
		}
	}
	brokertest.AwaitState(t, broker.Degraded, x)
	s.launch(t)
	up := map[string]bool{}
	for !up["publisher"] || !up["subscriber"] {
		l := wait(t, links)
		up[l.Role] = l.Up
	}
	brokertest.AwaitState(t, broker.Up, x)
}

func (s *server) talk(t *testing.T) *brokertest.Talk {
	t.Helper()
	return brokertest.NewTalk(t, []broker.Driver{s.open(t, "full"), s.open(t, "full")}, broker.Options{})
}
