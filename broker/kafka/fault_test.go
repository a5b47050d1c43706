package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/kafka"
)

// through returns n drivers that reach Kafka through p.
func through(t *testing.T, p *brokertest.Proxy, n int) []broker.Driver {
	t.Helper()
	name := topic(t, brokers(t))
	var ds []broker.Driver
	for range n {
		ds = append(ds, open(t, kafka.Config{Brokers: []string{p.Addr}, Topic: name, Dial: p.Dial}))
	}
	return ds
}

// eventually polls what cannot be waited for in another way.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(brokertest.Patience)
	for !f() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// openAt has a topic of Kafka for each cluster.
func openAt(ctx context.Context, addr, cluster string) (broker.Driver, error) {
	return kafka.Open(ctx, kafka.Config{
		Brokers: []string{addr}, Topic: cluster, Logger: silent,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr) // whatever address Kafka says it has
		},
	})
}

func TestMain(m *testing.M) { brokertest.Main(m, openAt) }

// What Kafka has is there again when it was killed.
func testFaults(t *testing.T, s *server) {
	brokertest.Faults(t, brokertest.Server{
		Name: "kafka", Addr: s.plain, Start: s.start, Kill: s.kill, Open: openAt,
		Forget: func(t *testing.T, cluster string) {
			a := admin(t, []string{s.plain})
			topics, err := a.DescribeTopics([]string{cluster})
			if err != nil || len(topics) != 1 || len(topics[0].Partitions) == 0 {
				t.Fatalf("got the topics %v, %v", topics, err)
			}
			offsets := make(map[int32]int64)
			for _, p := range topics[0].Partitions {
				offsets[p.ID] = -1 // its end
			}
			if err := a.DeleteRecords(cluster, offsets); err != nil {
				t.Fatal(err)
			}
		},
	})
}

// Hundreds of attempts to reconnect cost nothing that stays, and are numbered.
func TestLongOutage(t *testing.T) {
	p := brokertest.NewProxy(t, brokers(t)[0])
	p.Start(t)
	d := open(t, kafka.Config{
		Brokers: []string{p.Addr}, Topic: topic(t, brokers(t)), Dial: p.Dial,
		Retry: broker.Retry{Base: time.Millisecond, Max: 2 * time.Millisecond},
	})
	links := make(chan broker.Link, 10000)
	d.(broker.Linked).OnLink(func(l broker.Link) { links <- l })
	c := make(chan string, 1)
	if _, err := d.Subscribe(t.Context(), "t", func(b []byte) { c <- string(b) }); err != nil {
		t.Fatal(err)
	}
	if err := d.Publish(t.Context(), "t", []byte("x")); err != nil {
		t.Fatal(err)
	}
	wait(t, c)
	before := runtime.NumGoroutine()
	p.Cut()
	tries := map[string]int{}
	for tries["publisher"] < 100 || tries["subscriber"] < 100 {
		if err := d.Publish(t.Context(), "t", []byte("y")); err == nil {
			t.Fatal("published without a Kafka")
		}
		select {
		case l := <-links:
			if tries[l.Role]++; l.Up || l.Attempt != tries[l.Role] || l.Err == nil {
				t.Fatalf("got %+v, want attempt %d", l, tries[l.Role])
			}
		case <-time.After(brokertest.Patience):
			t.Fatal("nobody tells of the outage")
		}
	}
	eventually(t, "no goroutines pile up", func() bool { return runtime.NumGoroutine() < before+20 })
	p.Start(t)
	eventually(t, "Kafka is back", func() bool { return d.Publish(t.Context(), "t", []byte("z")) == nil })
	for wait(t, c) != "z" {
	}
	up := map[string]bool{}
	for !up["publisher"] || !up["subscriber"] {
		select {
		case l := <-links:
			up[l.Role] = l.Up
		case <-time.After(brokertest.Patience):
			t.Fatalf("got only %v up", up)
		}
	}
}

// The topic is deleted underneath: it is created again, and read from its
// beginning.
func TestTopicDeleted(t *testing.T) {
	addrs := brokers(t)
	name := topic(t, addrs)
	d := open(t, kafka.Config{Brokers: addrs, Topic: name, Partitions: 3})
	c := make(chan string, 1000)
	if _, err := d.Subscribe(t.Context(), "t", func(b []byte) { c <- string(b) }); err != nil {
		t.Fatal(err)
	}
	say := func(s string) {
		eventually(t, "publish "+s, func() bool { return d.Publish(t.Context(), "t", []byte(s)) == nil })
	}
	for range 20 {
		say("before")
	}
	for range 20 {
		wait(t, c)
	}
	if err := admin(t, addrs).DeleteTopic(name); err != nil {
		t.Fatal(err)
	}
	// What is published at the moment may be lost with the old topic.
	eventually(t, "something arrives again", func() bool {
		say("after")
		select {
		case <-c:
			return true
		case <-time.After(300 * time.Millisecond):
			return false
		}
	})
	say("last")
	for wait(t, c) != "last" {
	}
}

func TestAddedPartitions(t *testing.T) {
	addrs := brokers(t)
	name := topic(t, addrs)
	d := open(t, kafka.Config{Brokers: addrs, Topic: name, Partitions: 1})
	c := make(chan string, 1000)
	if _, err := d.Subscribe(t.Context(), "t", func(b []byte) { c <- string(b) }); err != nil {
		t.Fatal(err)
	}
	if err := admin(t, addrs).CreatePartitions(name, 3, nil, false); err != nil {
		t.Fatal(err)
	}
	// Somebody who knows them already writes to each, and without a key too.
	conf := sarama.NewConfig()
	conf.Producer.Return.Successes = true
	conf.Producer.Partitioner = sarama.NewManualPartitioner
	conf.Version = sarama.V2_8_0_0
	var p sarama.SyncProducer
	eventually(t, "the partitions are there", func() bool {
		var err error
		if p, err = sarama.NewSyncProducer(addrs, conf); err != nil {
			t.Fatal(err)
		}
		_, _, err = p.SendMessage(&sarama.ProducerMessage{Topic: name, Partition: 2, Value: sarama.StringEncoder("foreign")})
		if err != nil {
			p.Close()
		}
		return err == nil
	})
	defer p.Close()
	for i := range int32(3) {
		_, _, err := p.SendMessage(&sarama.ProducerMessage{
			Topic: name, Partition: i, Key: sarama.StringEncoder("t"), Value: sarama.StringEncoder(fmt.Sprint(i)),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	got := make(map[string]bool)
	for range 3 {
		got[wait(t, c)] = true
	}
	if !got["0"] || !got["1"] || !got["2"] {
		t.Errorf("got %v, want one of each partition", got)
	}
}

func TestSpread(t *testing.T) {
	count, now := kafka.NewSpread(), time.Now()
	for i, c := range []struct {
		n    int32
		at   time.Duration
		want int32
	}{
		{4, 0, 4},
		{8, time.Second, 4},
		{8, kafka.Adoption, 4},
		{16, kafka.Adoption + time.Second, 4}, // more again: they are new to the readers too
		{16, 2 * kafka.Adoption, 4},
		{16, 2*kafka.Adoption + time.Second, 16},
		{2, 2*kafka.Adoption + 2*time.Second, 2}, // another topic under the same name
	} {
		if got := count(c.n, now.Add(c.at)); got != c.want {
			t.Errorf("step %d: got %d, want %d", i, got, c.want)
		}
	}
}

// A handler that blocks holds up Close of neither its driver nor others.
func TestCloseInOutage(t *testing.T) {
	for _, how := range []string{"killed", "frozen"} {
		t.Run(how, func(t *testing.T) {
			p := brokertest.NewProxy(t, brokers(t)[0])
			p.Start(t)
			d := through(t, p, 1)[0]
			if _, err := d.Subscribe(t.Context(), "t", func([]byte) {}); err != nil {
				t.Fatal(err)
			}
			if err := d.Publish(t.Context(), "t", []byte("x")); err != nil {
				t.Fatal(err)
			}
			if how == "killed" {
				p.Cut()
			} else {
				p.Freeze()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			begin := time.Now()
			if err := d.Publish(ctx, "t", []byte("x")); err == nil {
				t.Error("published without a Kafka")
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("publish gave up after %v", took)
			}
			begin = time.Now()
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("close took %v", took)
			}
			if got := stacks(); got != "" {
				t.Errorf("goroutines are left:\n%s", got)
			}
		})
	}
}

func TestNothingStays(t *testing.T) {
	p := brokertest.NewProxy(t, brokers(t)[0])
	p.Start(t)
	d := through(t, p, 1)[0]
	c := make(chan string, 1)
	sub, err := d.Subscribe(t.Context(), "t", func(b []byte) { c <- string(b) })
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Publish(t.Context(), "t", []byte("x")); err != nil {
		t.Fatal(err)
	}
	wait(t, c)
	if n := p.Connections(); n > 5 {
		t.Errorf("%d connections to one broker", n)
	}
	if err := sub.Close(); err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "all connections are closed", func() bool { return p.Connections() == 0 })
	if got := stacks(); got != "" {
		t.Errorf("goroutines are left:\n%s", got)
	}
}

// stacks returns the goroutines that are in our package or in those that it
// uses, once they had time to end.
func stacks() string {
	var left []string
	for range 200 {
		buf := make([]byte, 4<<20)
		left = nil
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			for _, part := range []string{"/broker/kafka.(", "/broker/bridge.(", "pkg/kafka.(", "sarama."} {
				if strings.Contains(g, part) && !strings.Contains(g, "testing.") {
					left = append(left, g)
					break
				}
			}
		}
		if left == nil {
			return ""
		}
		<-time.After(5 * time.Millisecond)
	}
	return strings.Join(left, "\n\n")
}

func TestTooLarge(t *testing.T) {
	addrs := brokers(t)
	large := make([]byte, 4<<20)
	d := open(t, kafka.Config{Brokers: addrs, Topic: topic(t, addrs)})
	c := make(chan string, 10)
	if _, err := d.Subscribe(t.Context(), "t", func(b []byte) { c <- fmt.Sprint(len(b)) }); err != nil {
		t.Fatal(err)
	}
	if err := d.Publish(t.Context(), "t", make([]byte, 6<<20)); !errors.Is(err, broker.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	if err := d.Publish(t.Context(), "t", large); err != nil {
		t.Errorf("4 MiB were refused: %v", err)
	}
	if got := wait(t, c); got != fmt.Sprint(len(large)) {
		t.Errorf("got %s bytes, want %d", got, len(large))
	}

	// A topic that somebody made without thinking of us.
	name := topic(t, addrs)
	if err := admin(t, addrs).CreateTopic(name, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false); err != nil {
		t.Fatal(err)
	}
	d = open(t, kafka.Config{Brokers: addrs, Topic: name})
	if err := d.Publish(t.Context(), "t", large); !errors.Is(err, broker.ErrTooLarge) || !strings.Contains(err.Error(), "max.message.bytes") {
		t.Errorf("got %v, want ErrTooLarge and what to raise", err)
	}
	if err := d.Publish(t.Context(), "t", large[:300<<10]); err != nil {
		t.Error(err)
	}
}

func TestCreated(t *testing.T) {
	addrs := brokers(t)
	name := topic(t, addrs)
	open(t, kafka.Config{Brokers: addrs, Topic: name, Partitions: 5, Retention: time.Minute})
	open(t, kafka.Config{Brokers: addrs, Topic: name, Partitions: 7})
	topics, err := admin(t, addrs).ListTopics()
	if err != nil {
		t.Fatal(err)
	}
	got := topics[name]
	if got.NumPartitions != 5 {
		t.Errorf("got %d partitions, want 5", got.NumPartitions)
	}
	for key, want := range map[string]string{"retention.ms": "60000", "segment.ms": "30000", "message.timestamp.type": "LogAppendTime"} {
		if v := got.ConfigEntries[key]; v == nil || *v != want {
			t.Errorf("%s: got %v, want %s", key, v, want)
		}
	}
}
