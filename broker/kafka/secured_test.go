package kafka_test

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/brokertest"
	"github.com/carillonhq/carillon/broker/kafka"
)

// TestServer has a Kafka of its own, which takes seconds to start: so it is
// one test for all that wants one.
func TestServer(t *testing.T) {
	s := newServer(t)
	refused(t, kafka.Config{Brokers: []string{s.plain}}, "start Kafka there") // nothing listens yet
	begin := time.Now()
	s.start(t)
	t.Logf("Kafka took %v to start", time.Since(begin))

	t.Run("Login", func(t *testing.T) { testLogin(t, s) })
	t.Run("Permissions", func(t *testing.T) { testPermissions(t, s) })
	t.Run("Examine", func(t *testing.T) { testExamine(t, s) })
	t.Run("TLS", func(t *testing.T) { testTLS(t, s) })
	t.Run("Restart", func(t *testing.T) { testRestart(t, s) })
}

// refused wants an error of Open with these words, and without a password.
func refused(t *testing.T, cfg kafka.Config, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	cfg.Logger = silent
	d, err := kafka.Open(ctx, cfg)
	if err == nil {
		d.Close()
		t.Errorf("opened, want an error with %q", want)
		return
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

func testLogin(t *testing.T, s *server) {
	a := admin(t, []string{s.plain})
	for _, m := range []sarama.ScramMechanismType{sarama.SCRAM_MECHANISM_SHA_256, sarama.SCRAM_MECHANISM_SHA_512} {
		rs, err := a.UpsertUserScramCredentials([]sarama.AlterUserScramCredentialsUpsert{{
			Name: "full", Mechanism: m, Iterations: 4096, Salt: []byte("salt"), Password: []byte("correct-horse"),
		}})
		if err != nil || len(rs) != 1 || rs[0].ErrorCode != sarama.ErrNoError {
			t.Fatal(rs, err)
		}
	}
	allow(t, a, "full", "carillon", sarama.AclOperationRead, sarama.AclOperationWrite, sarama.AclOperationDescribe, sarama.AclOperationCreate)
	for _, mechanism := range append([]string{""}, kafka.Mechanisms...) {
		cfg := kafka.Config{Brokers: []string{s.sasl}, SASL: kafka.SASL{Mechanism: mechanism, User: "full", Password: "correct-horse"}}
		roundTrip(t, open(t, cfg))
		cfg.SASL.Password = "battery-staple"
		refused(t, cfg, "refuses the user or the password")
	}
	refused(t, kafka.Config{Brokers: []string{s.sasl}}, "wants TLS or a login")
	refused(t, kafka.Config{Brokers: []string{s.plain}, SASL: kafka.SASL{User: "full", Password: "correct-horse"}}, "does not accept this login there")
	refused(t, kafka.Config{Brokers: []string{s.sasl}, SASL: kafka.SASL{Mechanism: "MAGIC", User: "full", Password: "correct-horse"}}, "MAGIC")
}

// roundTrip publishes and hears something.
func roundTrip(t *testing.T, d broker.Driver) {
	t.Helper()
	c := make(chan string, 1)
	if _, err := d.Subscribe(t.Context(), "t", func(b []byte) { c <- string(b) }); err != nil {
		t.Fatal(err)
	}
	if err := d.Publish(t.Context(), "t", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, c); got != "x" {
		t.Errorf("got %q", got)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func allow(t *testing.T, a sarama.ClusterAdmin, user, topic string, ops ...sarama.AclOperation) {
	t.Helper()
	for _, op := range ops {
		err := a.CreateACL(
			sarama.Resource{ResourceType: sarama.AclResourceTopic, ResourceName: topic, ResourcePatternType: sarama.AclPatternLiteral},
			sarama.Acl{Principal: "User:" + user, Host: "*", Operation: op, PermissionType: sarama.AclPermissionAllow},
		)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A user with less than the documentation names is told what is missing.
func testPermissions(t *testing.T, s *server) {
	a := admin(t, []string{s.plain})
	as := func(user, topic string) kafka.Config {
		return kafka.Config{
			Brokers: []string{s.sasl}, Topic: topic, Logger: silent, Retry: broker.Retry{Max: 100 * time.Millisecond},
			SASL: kafka.SASL{User: user, Password: "correct-horse"},
		}
	}
	refused(t, as("none", "absent"), "grant Describe on the topic absent")
	allow(t, a, "none", "absent", sarama.AclOperationDescribe)
	eventually(t, "the permission is in force", func() bool {
		_, err := kafka.Open(t.Context(), as("none", "absent"))
		return err != nil && !strings.Contains(err.Error(), "grant Describe")
	})
	refused(t, as("none", "absent"), "grant Create on the topic absent")

	open(t, kafka.Config{Brokers: []string{s.plain}, Topic: "there"}).Close()
	allow(t, a, "none", "there", sarama.AclOperationDescribe)
	allow(t, a, "writer", "there", sarama.AclOperationWrite)
	var d broker.Driver
	eventually(t, "the permission is in force", func() bool {
		var err error
		d, err = kafka.Open(t.Context(), as("none", "there"))
		return err == nil
	})
	defer d.Close()
	if err := d.Publish(t.Context(), "t", []byte("x")); err == nil || !strings.Contains(err.Error(), "grant Write on the topic there") {
		t.Errorf("got %v, want what to grant", err)
	}
	d = open(t, as("writer", "there"))
	down := make(chan string, 1000)
	d.(broker.Linked).OnLink(func(l broker.Link) {
		if !l.Up && l.Role == "subscriber" {
			down <- l.Err.Error()
		}
	})
	if _, err := d.Subscribe(t.Context(), "t", func([]byte) {}); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, down); !strings.Contains(got, "grant Read on the topic there") {
		t.Errorf("got %v, want what to grant", got)
	}
	// The right is granted at last: the reading goes on where it began.
	if err := d.Publish(t.Context(), "t", []byte("x")); err != nil {
		t.Error(err)
	}
	c := make(chan string, 1)
	if _, err := d.Subscribe(t.Context(), "u", func(b []byte) { c <- string(b) }); err != nil {
		t.Fatal(err)
	}
	if err := d.Publish(t.Context(), "u", []byte("y")); err != nil {
		t.Error(err)
	}
	allow(t, a, "writer", "there", sarama.AclOperationRead)
	if got := wait(t, c); got != "y" {
		t.Errorf("got %q", got)
	}
}

func testTLS(t *testing.T, s *server) {
	cfg := kafka.Config{Brokers: []string{s.tls}, Topic: "encrypted", TLS: &tls.Config{RootCAs: s.trust}}
	// An encrypted connection without a client's certificate has the user
	// ANONYMOUS, who may do everything.
	roundTrip(t, open(t, cfg))
	cfg.TLS = &tls.Config{}
	refused(t, cfg, "TLS certificate that is not trusted")
	cfg.TLS = nil
	refused(t, cfg, "kafka: "+s.tls)
	refused(t, kafka.Config{Brokers: []string{s.plain}, TLS: &tls.Config{RootCAs: s.trust}}, "kafka: "+s.plain)
}

// Kafka is killed, and comes back with what it had.
func testRestart(t *testing.T, s *server) {
	var ds []broker.Driver
	for range 2 {
		ds = append(ds, open(t, kafka.Config{Brokers: []string{s.plain}, Topic: "restart"}))
	}
	x, y, heard := watched(t, ds)
	say(t, x, y, 0, 100)
	expect(t, heard, 0, 100)
	s.kill()
	say(t, x, y, 100, 200)
	inState(t, broker.Down, x, y)
	s.start(t)
	back := time.Now()
	say(t, x, y, 200, 300)
	expect(t, heard, 100, 300)
	t.Logf("all was there %v after Kafka", time.Since(back))
	inState(t, broker.Up, x, y)
}

func TestErrors(t *testing.T) {
	refused(t, kafka.Config{}, "no brokers")
	refused(t, kafka.Config{Brokers: []string{"localhost"}}, "not of the form host:port")
	refused(t, kafka.Config{Brokers: []string{"no-such-host.invalid:9092"}}, "cannot be resolved")
	refused(t, kafka.Config{Brokers: brokers(t), Topic: "a b"}, "refuses the name of the topic")
	refused(t, kafka.Config{Brokers: brokers(t), Topic: brokertest.Prefix(), Replication: 2}, "lower Replication")
}
