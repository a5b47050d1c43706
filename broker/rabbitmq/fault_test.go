package rabbitmq_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/rabbitmq"
)

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

// TestFaults does to one RabbitMQ what may happen to it, as it takes its time
// to start.
func TestFaults(t *testing.T) {
	s := newServer(t, map[string]right{
		"full":         {".*", ".*", ".*"},
		"enough":       {`^test-`, `^(test-|amq\.direct$)`, `^(test-|amq\.direct$)`},
		"no-configure": {`^$`, ".*", ".*"},
		"no-write":     {".*", `^test-`, ".*"},
		"no-bind":      {".*", `^amq\.direct$`, ".*"},
		"no-read":      {".*", ".*", `^amq\.direct$`},
	})
	t.Run("ComesLate", s.testComesLate)
	t.Run("Errors", s.testErrors)
	t.Run("Permissions", s.testPermissions)
	t.Run("Examine", s.testExamine)
	t.Run("NothingStays", s.testNothingStays)
	t.Run("QueueDeleted", s.testQueueDeleted)
	t.Run("OutOfMemory", s.testOutOfMemory)
	t.Run("Hang", s.testHang)
	t.Run("Restart", s.testRestart)
}

func (s *server) open(t *testing.T, user string) broker.Driver {
	t.Helper()
	d, err := rabbitmq.Open(t.Context(), rabbitmq.Config{URL: s.url(user), Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// watched are two nodes of one cluster, of which the second tells what it hears.
func (s *server) watched(t *testing.T) (x, y *broker.Bus, heard <-chan string) {
	nodes := brokertest.Cluster(t, []broker.Driver{s.open(t, "full"), s.open(t, "full")}, broker.Options{})
	c := make(chan string, 10000)
	var over atomic.Bool
	for _, b := range nodes {
		b.Watch(func(ev broker.Event) {
			if over.Load() {
				return // the nodes go, one after the other
			}
			if ev.Kind == broker.Gap || ev.Kind == broker.NodeDown {
				t.Errorf("%s: %v of %s, %d to %d", b.Self().Name, ev.Kind, ev.Node.Name, ev.From, ev.To)
			}
		})
	}
	nodes[1].Handle("x", func(m broker.Message) { c <- string(m.Body) })
	t.Cleanup(func() { over.Store(true) })
	return nodes[0], nodes[1], c
}

// say sends numbers, some to all and some to y.
func say(t *testing.T, x, y *broker.Bus, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		var err error
		if i%3 == 0 {
			err = x.Send(y.Self().ID, "x", fmt.Append(nil, i))
		} else {
			err = x.Broadcast("x", fmt.Append(nil, i))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func expect(t *testing.T, heard <-chan string, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if got := wait(t, heard); got != fmt.Sprint(i) {
			t.Fatalf("got %s, want %d", got, i)
		}
	}
}

func wait[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(2 * brokertest.Patience):
		t.Fatal("nothing came")
	}
	return v
}

func state(t *testing.T, want broker.State, nodes ...*broker.Bus) {
	t.Helper()
	for _, b := range nodes {
		eventually(t, fmt.Sprint(b.Self().Name, " is ", want), func() bool { return b.State() == want })
	}
}

func (s *server) testComesLate(t *testing.T) {
	if _, err := rabbitmq.Open(t.Context(), rabbitmq.Config{URL: s.url("full")}); err == nil || !strings.Contains(err.Error(), "start RabbitMQ there") {
		t.Errorf("got %v, want what to do", err)
	}
	var nodes []*broker.Bus
	cluster := brokertest.Prefix()
	for i := range 2 {
		b, err := broker.Open(t.Context(), func(ctx context.Context) (broker.Driver, error) {
			return rabbitmq.Open(ctx, rabbitmq.Config{URL: s.url("full"), Logger: silent})
		}, broker.Options{Node: fmt.Sprint(i), Cluster: cluster, Logger: silent, Retry: broker.Retry{Max: 200 * time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		nodes = append(nodes, b)
		if s := b.State(); s != broker.Connecting {
			t.Errorf("got state %v, want connecting", s)
		}
	}
	s.launch(t)
	s.await(t)
	for _, b := range nodes {
		brokertest.AwaitMembers(t, b, 1)
	}
}

func (s *server) testErrors(t *testing.T) {
	try := func(cfg rabbitmq.Config, want string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		d, err := rabbitmq.Open(ctx, cfg)
		if err == nil {
			d.Close()
			t.Fatalf("opened, want an error with %q", want)
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
		for _, secret := range []string{"battery-staple", "correct-horse"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows the password: %v", err)
			}
		}
	}
	try(rabbitmq.Config{URL: "amqp://full:battery-staple@" + s.addr()}, "refuses the user or the password")
	try(rabbitmq.Config{URL: s.url("nobody")}, "refuses the user or the password")
	try(rabbitmq.Config{URL: s.url("full"), Password: "battery-staple"}, "refuses the user or the password")
	try(rabbitmq.Config{URL: s.url("full") + "/missing"}, "no such vhost")
	try(rabbitmq.Config{URL: s.url("full") + "/closed"}, "may not use it")
	try(rabbitmq.Config{URL: "amqps://full:correct-horse@" + s.addr()}, "does not speak TLS")
	try(rabbitmq.Config{URL: "amqps://full:correct-horse@127.0.0.1:" + s.tls}, "not trusted")
	try(rabbitmq.Config{URL: "amqp://full:battery-staple@no-such-host.invalid"}, "cannot be resolved")
	try(rabbitmq.Config{URL: "http://full:battery-staple@" + s.addr()}, "not of the form")
	try(rabbitmq.Config{URL: "amqp://full:battery-staple@[" + s.addr()}, "not of the form")
	try(rabbitmq.Config{}, "not of the form")

	for _, cfg := range []rabbitmq.Config{
		{URL: "amqp://full:wrong@" + s.addr(), Password: "correct-horse"},
		{URL: s.url("full") + "/%2F"},
		{URL: "amqps://full:correct-horse@127.0.0.1:" + s.tls + "/?cacertfile=" + s.dir + "/cert.pem"},
	} {
		d, err := rabbitmq.Open(t.Context(), cfg)
		if err != nil {
			t.Error(err)
			continue
		}
		d.Close()
	}
}

// A user with the rights that the documentation names can do everything, and
// one with less is told what is missing.
func (s *server) testPermissions(t *testing.T) {
	use := func(user string) error {
		d := s.open(t, user)
		topic := brokertest.Prefix()
		c := make(chan string, 1)
		if _, err := d.Subscribe(t.Context(), topic, func(b []byte) { c <- string(b) }); err != nil {
			return err
		}
		if err := d.Publish(t.Context(), topic, []byte("x")); err != nil {
			return err
		}
		if got := wait(t, c); got != "x" {
			t.Errorf("got %q", got)
		}
		return nil
	}
	if err := use("enough"); err != nil {
		t.Error(err)
	}
	for user, want := range map[string]string{
		"no-configure": "permission to configure on the queue",
		"no-write":     "permission to write on the exchange amq.direct",
		"no-bind":      "permission to write on the queue",
		"no-read":      "permission to read on the queue",
	} {
		if err := use(user); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", user, err, want)
		}
	}
}

// What a driver made is gone when it is closed.
func (s *server) testNothingStays(t *testing.T) {
	for range 3 {
		d := s.open(t, "full")
		for range 3 {
			topic := brokertest.Prefix()
			sub, err := d.Subscribe(t.Context(), topic, func([]byte) {})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Publish(t.Context(), topic, []byte("x")); err != nil {
				t.Fatal(err)
			}
			if got := stacks("handleConnectionClose"); got != "" {
				t.Fatalf("Watermill watches the connection:\n%s", got)
			}
			begin := time.Now()
			if err := sub.Close(); err != nil {
				t.Error(err)
			}
			if took := time.Since(begin); took > 500*time.Millisecond {
				t.Errorf("a subscription took %v to close", took)
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := stacks("/broker/rabbitmq.(", "/broker/bridge.(", "watermill-amqp", "amqp091-go"); got != "" {
		t.Errorf("goroutines are left:\n%s", got)
	}
	if got := s.ctl(t, "list_queues", "name"); strings.Contains(got, "test-") {
		t.Errorf("queues are left:\n%s", got)
	}
	if got := s.ctl(t, "list_connections", "client_properties"); strings.Contains(got, "carillon") {
		t.Errorf("connections are left:\n%s", got)
	}
}

// The queue of a topic is deleted underneath its subscription, which says so
// and goes on with a new one.
func (s *server) testQueueDeleted(t *testing.T) {
	d, topic := s.open(t, "full"), brokertest.Prefix()
	links, heard := make(chan broker.Link, 10), make(chan string, 10)
	d.(broker.Linked).OnLink(func(l broker.Link) { links <- l })
	if _, err := d.Subscribe(t.Context(), topic, func(b []byte) { heard <- string(b) }); err != nil {
		t.Fatal(err)
	}
	admin, err := amqp.Dial(s.url("full"))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	ch, err := admin.Channel()
	if err != nil {
		t.Fatal(err)
	}
	queue := strings.TrimSpace(s.ctl(t, "list_queues", "name", "--no-table-headers"))
	if n, err := ch.QueueDelete(queue, false, false, false); err != nil {
		t.Fatalf("delete %q: %v, %v", queue, n, err)
	}
	down := wait(t, links)
	if down.Up || down.Role != "subscriber" || down.Attempt != 1 || down.Err == nil {
		t.Errorf("got %+v, want the subscriber to be down", down)
	}
	if up := wait(t, links); !up.Up || up.Role != "subscriber" {
		t.Errorf("got %+v, want the subscriber to be up", up)
	}
	if err := d.Publish(t.Context(), topic, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, heard); got != "x" {
		t.Errorf("got %q", got)
	}
}

func (s *server) testOutOfMemory(t *testing.T) {
	x, y, heard := s.watched(t)
	s.ctl(t, "set_vm_memory_high_watermark", "absolute", "1MB")
	say(t, x, y, 0, 50)
	state(t, broker.Down, x, y)
	d := s.open(t, "full")
	eventually(t, "the driver says why", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		err := d.Publish(ctx, brokertest.Prefix(), []byte("x"))
		return err != nil && strings.Contains(err.Error(), "accepts no messages, as it is low on memory")
	})
	say(t, x, y, 50, 100)
	s.ctl(t, "set_vm_memory_high_watermark", "absolute", "512MB")
	expect(t, heard, 0, 100)
	state(t, broker.Up, x, y)
}

// RabbitMQ stops answering, but its connections stand.
func (s *server) testHang(t *testing.T) {
	x, y, heard := s.watched(t)
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	say(t, x, y, 0, 100)
	state(t, broker.Down, x, y)
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	expect(t, heard, 0, 100)
	state(t, broker.Up, x, y)
}

// RabbitMQ is killed and comes back: what was said meanwhile arrives, once and
// in order, and nobody was declared down.
func (s *server) testRestart(t *testing.T) {
	x, y, heard := s.watched(t)
	say(t, x, y, 0, 100)
	expect(t, heard, 0, 100)
	lonely := s.open(t, "full")
	if _, err := lonely.Subscribe(t.Context(), brokertest.Prefix(), func([]byte) {}); err != nil {
		t.Fatal(err)
	}
	// RabbitMQ writes what was declared to its disk within seconds.
	s.ctl(t, "eval", "mnesia:sync_log().")
	s.kill()
	say(t, x, y, 100, 200)
	state(t, broker.Down, x, y)
	begin := time.Now()
	if err := lonely.Close(); err != nil || time.Since(begin) > time.Second {
		t.Errorf("close without RabbitMQ: %v, after %v", err, time.Since(begin))
	}
	say(t, x, y, 200, 300)
	s.launch(t)
	expect(t, heard, 100, 300)
	say(t, x, y, 300, 400)
	expect(t, heard, 300, 400)
	state(t, broker.Up, x, y)
	brokertest.AwaitMembers(t, x, 1)
	brokertest.AwaitMembers(t, y, 1)
}
