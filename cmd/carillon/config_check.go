package main

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/transport/socketio/admin"
)

// check refuses values that no server could work with, and pairs that
// contradict each other.
func (l *loader) check(cfg Config) {
	l.checkServer(cfg.Server)
	l.checkFront(cfg.Server)
	l.checkAuth(cfg.Auth)
	l.checkLimits(cfg.Limits)
	l.checkBroker(cfg.Broker)
	l.checkPresence(cfg.Presence)
	l.checkAPI(cfg.API)
	l.checkWebhooks(cfg.Webhooks, cfg.Presence.Mode)
	l.checkMetrics(cfg.Metrics)
	l.checkRecovery(cfg.Recovery)
	l.checkAdmin(cfg.Admin)
	l.checkTraces(cfg.Traces)

	atLeast(l, "server.max_queue", cfg.Server.MaxQueue, "server.max_payload", cfg.Server.MaxPayload)
	atLeast(l, "broker.buffer", cfg.Broker.Buffer, "server.max_payload", cfg.Server.MaxPayload)
}

func (l *loader) checkServer(s Server) {
	l.unless(listenable(s.Listen), "server.listen", "expected host:port or :port, got %q", s.Listen)
	l.named("server.node", s.Node, 0, maxNodeName)
	l.unless(strings.HasPrefix(s.Path, "/") && strings.HasSuffix(s.Path, "/") && !strings.ContainsAny(s.Path, " ?#{}"),
		"server.path", `expected a path that begins and ends with "/", got %q`, s.Path)
	// A millisecond is the protocol's unit, and less a mistake anywhere.
	l.lasting("server.ping_interval", s.PingInterval, time.Millisecond)
	l.lasting("server.ping_timeout", s.PingTimeout, time.Millisecond)
	l.lasting("server.upgrade_timeout", s.UpgradeTimeout, time.Millisecond)
	l.lasting("server.upgrade_hold", s.UpgradeHold, 0)
	l.lasting("server.connect_timeout", s.ConnectTimeout, time.Millisecond)
	l.lasting("server.write_timeout", s.WriteTimeout, time.Millisecond)
	l.lasting("server.shutdown_timeout", s.ShutdownTimeout, time.Millisecond)
	l.checkDrain(s.Drain)
	l.bounded("server.max_payload", s.MaxPayload)
	for _, o := range s.CORS.Origins {
		l.unless(originPattern(o), "server.cors.origins", `expected "*" or scheme://host[:port] without a path, got %q`, o)
	}
	if s.CORS.Credentials && slices.Contains(s.CORS.Origins, "*") {
		l.clash("server.cors.credentials", true, "cannot go with", "cannot go with", "server.cors.origins", s.CORS.Origins)
	}
	if s.Page && s.Path == "/" {
		l.clash("server.page", true, "cannot go with", "cannot go with", "server.path", s.Path)
	}
}

func (l *loader) checkBroker(b Broker) {
	l.named("broker.cluster", b.Cluster, 1, maxClusterName)
	l.lasting("broker.heartbeat", b.Heartbeat, 10*time.Millisecond)
	l.lasting("broker.reconnect.base", b.Reconnect.Base, time.Millisecond)
	atLeast(l, "broker.reconnect.max", b.Reconnect.Max, "broker.reconnect.base", b.Reconnect.Base)
	l.unless(b.Reconnect.Retries >= 1, "broker.reconnect.retries", "expected 1 or more, got %d", b.Reconnect.Retries)
	switch b.Driver {
	case "redis":
		l.checkRedis(b.Redis)
	case "rabbitmq":
		l.unless(rabbitURL(b.RabbitMQ.URL), "broker.rabbitmq.url",
			"expected amqp://[user:password@]host[:port][/vhost] or amqps://… (what was given may hold a password and is not shown)")
		l.unless(b.RabbitMQ.MaxSize >= 1<<20, "broker.rabbitmq.max_size", "expected a size of at least 1MiB, got %s", b.RabbitMQ.MaxSize)
	}
	if b.Driver == "kafka" {
		l.checkKafka(b.Kafka)
	}
}

func (l *loader) checkAdmin(a Admin) {
	if a.Enabled && a.Username == "" {
		l.clash("admin.enabled", true, "needs", "is needed by", "admin.username", "")
	}
	if a.Enabled && a.PasswordHash == "" {
		l.clash("admin.enabled", true, "needs", "is needed by", "admin.password_hash", "")
	}
	l.unless(a.PasswordHash == "" || admin.CheckHash(a.PasswordHash) == nil, "admin.password_hash",
		"expected a bcrypt hash, which begins with $2 and has 60 characters (what was given is not shown)")
}

func (l *loader) checkKafka(k Kafka) {
	l.unless(len(k.Brokers) > 0, "broker.kafka.brokers", "expected one host:port or more, got none")
	for _, addr := range k.Brokers {
		l.unless(listenable(addr) && !strings.HasPrefix(addr, ":"), "broker.kafka.brokers", "expected host:port, got %q", addr)
	}
	l.named("broker.kafka.topic", k.Topic, 1, maxTopicName)
	l.unless(k.Partitions >= 1 && k.Partitions <= maxPartitions, "broker.kafka.partitions",
		"expected 1 to %d, got %d", maxPartitions, k.Partitions)
	l.unless(k.Replication >= 0 && k.Replication <= maxReplication, "broker.kafka.replication",
		"expected 0 to %d, got %d", maxReplication, k.Replication)
	l.lasting("broker.kafka.retention", k.Retention, time.Second)
	if (k.TLS.CertFile == "") != (k.TLS.KeyFile == "") {
		l.clash("broker.kafka.tls.cert_file", k.TLS.CertFile, "goes only together with", "goes only together with", "broker.kafka.tls.key_file", k.TLS.KeyFile)
	}
	if k.SASL.User == "" && k.SASL.Password != "" {
		l.problem(l.origins["broker.kafka.sasl.password"], "broker.kafka.sasl.password: set without broker.kafka.sasl.user, and so never used")
	}
}

// Bounds of Kafka's, or far beyond any use.
const (
	maxTopicName   = 249
	maxPartitions  = 1000
	maxReplication = 100
)

// unless refuses the value of key if it is not ok, the first time.
func (l *loader) unless(ok bool, key, format string, args ...any) {
	if !ok && !l.refused[key] {
		l.refuse(key, format, args...)
	}
}

// bounded refuses sizes of what nodes could not pass on.
func (l *loader) bounded(key string, s Size) {
	l.unless(s > 0 && s <= broker.MaxBody, key,
		"expected 1 to %v, which is what nodes can pass on, got %v", Size(broker.MaxBody), s)
}

// lasting refuses durations shorter than least.
func (l *loader) lasting(key string, d, least time.Duration) {
	l.unless(d >= least, key, "expected a duration of at least %s, got %q", least, shortDuration(d))
}

func (l *loader) named(key, value string, least, most int) {
	ok := len(value) >= least && len(value) <= most && (value == "" || validName.MatchString(value))
	l.unless(ok, key, `expected %d to %d letters, digits, ".", "_" and "-", got %q`, least, most, value)
}

// atLeast refuses a value of a that is smaller than the value of b.
func atLeast[T Size | time.Duration](l *loader, a string, av T, b string, bv T) {
	if av < bv {
		l.clash(a, av, "must be at least", "must be at most", b, bv)
	}
}

// clash refuses two keys whose values contradict each other: a stands in the
// relation to b, and b in the reverse to a. It is told at the place of the one
// that somebody set, with the place of the other.
func (l *loader) clash(a string, av any, relation, reverse, b string, bv any) {
	if l.refused[a] || l.refused[b] {
		return
	}
	if _, set := l.origins[a]; !set {
		a, av, relation, b, bv = b, bv, reverse, a, av
	}
	l.problem(l.origins[a], "%s (%s) %s %s (%s, %v)", a, quoted(av), relation, b, quoted(bv), l.origins[b])
}

func quoted(v any) string {
	if s, ok := v.(string); ok {
		return strconv.Quote(s)
	}
	return fmt.Sprint(v)
}

// listenable reports whether addr is host:port with a port that exists.
func listenable(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// rabbitURL reports whether raw is an address of a RabbitMQ: a path, if any,
// is the name of a vhost, in which slashes are written as %2F.
func rabbitURL(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "amqp" || u.Scheme == "amqps") && u.Opaque == "" && u.Hostname() != "" &&
		strings.Count(u.EscapedPath(), "/") <= 1 && !strings.ContainsAny(raw, " \t\r\n")
}
