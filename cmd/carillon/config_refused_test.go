package main

import (
	"strings"
	"testing"
)

// What a person reads who made a mistake, in full.
func TestRefused(t *testing.T) {
	cases := []struct {
		name    string
		file    string
		environ []string
		flags   map[string]string
		want    []string // lines
	}{
		{
			name: "unknown keys, with what was meant", file: `
server:
  listn: ":1"
  ping-interval: 1s
  cors: {color: blue}
redis: {url: x}
brokr: {}
broker: {reconnect: {retry: 3}}
Log: {}
server.page.x: 1
`,
			want: []string{
				"x.yaml:3: server.listn: unknown key, did you mean server.listen?",
				"x.yaml:4: server.ping-interval: unknown key, did you mean server.ping_interval?",
				"x.yaml:5: server.cors.color: unknown key, expected one of origins, credentials",
				"x.yaml:6: redis: unknown key, did you mean broker.redis?",
				"x.yaml:7: brokr: unknown key, did you mean broker?",
				"x.yaml:8: broker.reconnect.retry: unknown key, expected one of base, max, retries, then",
				"x.yaml:9: Log: unknown key, did you mean log?",
				"x.yaml:10: server.page.x: unknown key, expected one of server, auth, permissions, limits, broker, presence, recovery, api, webhooks, metrics, admin, traces, log",
			},
		},
		{
			name: "wrong types", file: `
server:
  listen: 3000
  node: [a]
  ping_timeout: 20
  max_payload: lots
  max_queue: 1.5
  page: "true"
  cors: {origins: "*"}
  connect_timeout:
broker:
  driver: Redis
  reconnect: {base: fast, retries: "3", then: {}}
log: debug
`,
			want: []string{
				"x.yaml:3: server.listen: expected a text, got 3000; put it in quotes",
				"x.yaml:4: server.node: expected a text, got a list",
				`x.yaml:5: server.ping_timeout: expected a duration such as "20s", got 20`,
				`x.yaml:6: server.max_payload: expected a size such as "1MB" or a number of bytes, got "lots"`,
				`x.yaml:7: server.max_queue: expected a size such as "1MiB" or a number of bytes, got 1.5`,
				`x.yaml:8: server.page: expected true or false, got "true"`,
				`x.yaml:9: server.cors.origins: expected a list of texts, got "*"`,
				`x.yaml:10: server.connect_timeout: expected a duration such as "45s", got nothing`,
				`x.yaml:12: broker.driver: expected one of memory, redis, rabbitmq, kafka, got "Redis"`,
				`x.yaml:13: broker.reconnect.base: expected a duration such as "100ms", got "fast"`,
				`x.yaml:13: broker.reconnect.retries: expected a whole number, got "3"`,
				"x.yaml:13: broker.reconnect.then: expected one of degrade, exit, got a section",
				"x.yaml:14: log: expected a section with keys of its own",
			},
		},
		{
			name: "the environment",
			environ: []string{
				"CARILLON_SERVER__LISTN=:1", "CARILLON_LISTEN=:1", "CARILLON_server__page=true", "CARILLON_SERVER=x",
				"CARILLON_SERVER__PAGE=maybe", "CARILLON_BROKER__HEARTBEAT=1", "CARILLON_BROKER__RECONNECT__RETRIES=-1",
			},
			want: []string{
				`environment variable CARILLON_BROKER__HEARTBEAT: broker.heartbeat: expected a duration such as "1s", got "1"`,
				"environment variable CARILLON_LISTEN: listen: unknown key, did you mean CARILLON_SERVER__LISTEN?",
				"environment variable CARILLON_SERVER: server: expected a section with keys of its own",
				"environment variable CARILLON_SERVER__LISTN: server.listn: unknown key, did you mean CARILLON_SERVER__LISTEN?",
				`environment variable CARILLON_SERVER__PAGE: server.page: expected true or false, got "maybe"`,
				"environment variable CARILLON_server__page: server__page: unknown key, did you mean CARILLON_SERVER__PAGE?",
				"environment variable CARILLON_BROKER__RECONNECT__RETRIES: broker.reconnect.retries: expected 1 or more, got -1",
			},
		},
		{
			name:  "flags",
			flags: map[string]string{"server.listen": "3000", "broker.driver": "nats", "server.node": "a b"},
			want: []string{
				`flag --broker: broker.driver: expected one of memory, redis, rabbitmq, kafka, got "nats"`,
				"flag --listen: server.listen: expected host:port or :port, got \"3000\"",
				`flag --node: server.node: expected 0 to 128 letters, digits, ".", "_" and "-", got "a b"`,
			},
		},
		{
			name: "every source at once", file: "server: {page: 1}",
			environ: []string{"CARILLON_SERVER__PATH=socket.io"}, flags: map[string]string{"server.listen": ""},
			want: []string{
				"x.yaml:1: server.page: expected true or false, got 1",
				`flag --listen: server.listen: expected host:port or :port, got ""`,
				`environment variable CARILLON_SERVER__PATH: server.path: expected a path that begins and ends with "/", got "socket.io"`,
			},
		},
		{
			name: "values that cannot work", file: `
server:
  listen: localhost:99999
  path: /a b/
  ping_timeout: 0s
  write_timeout: -1s
  upgrade_timeout: 10us
  max_payload: 0
  cors: {origins: [https://a.example/, app.example.com, "*"]}
broker:
  cluster: "a:b"
  reconnect: {base: 0s}
`,
			want: []string{
				`x.yaml:3: server.listen: expected host:port or :port, got "localhost:99999"`,
				`x.yaml:4: server.path: expected a path that begins and ends with "/", got "/a b/"`,
				`x.yaml:5: server.ping_timeout: expected a duration of at least 1ms, got "0s"`,
				`x.yaml:7: server.upgrade_timeout: expected a duration of at least 1ms, got "10µs"`,
				`x.yaml:6: server.write_timeout: expected a duration of at least 1ms, got "-1s"`,
				"x.yaml:8: server.max_payload: expected 1 to 16MiB, which is what nodes can pass on, got 0",
				`x.yaml:9: server.cors.origins: expected "*" or scheme://host[:port] without a path, got "https://a.example/"`,
				`x.yaml:11: broker.cluster: expected 1 to 64 letters, digits, ".", "_" and "-", got "a:b"`,
				`x.yaml:12: broker.reconnect.base: expected a duration of at least 1ms, got "0s"`,
			},
		},
		{
			name: "contradictions", file: `
server:
  path: /
  max_payload: 2MiB
  cors:
    credentials: true
    origins: ["*"]
broker:
  reconnect: {base: 5s}
`,
			environ: []string{"CARILLON_SERVER__MAX_QUEUE=1KB", "CARILLON_BROKER__BUFFER=1MiB"},
			want: []string{
				"x.yaml:6: server.cors.credentials (true) cannot go with server.cors.origins ([*], x.yaml:7)",
				`x.yaml:3: server.path ("/") cannot go with server.page (true, default)`,
				"x.yaml:9: broker.reconnect.base (5s) must be at most broker.reconnect.max (3s, default)",
				"environment variable CARILLON_SERVER__MAX_QUEUE: server.max_queue (1KB) must be at least server.max_payload (2MiB, x.yaml:4)",
				"environment variable CARILLON_BROKER__BUFFER: broker.buffer (1MiB) must be at least server.max_payload (2MiB, x.yaml:4)",
			},
		},
		{
			name: "administrators without a login", file: "\nadmin: {enabled: true, username: a}\n",
			want: []string{`x.yaml:2: admin.enabled (true) needs admin.password_hash ("", default)`},
		},
		{
			name: "administrators without anything", environ: []string{"CARILLON_ADMIN__ENABLED=1"},
			want: []string{
				`environment variable CARILLON_ADMIN__ENABLED: admin.enabled (true) needs admin.username ("", default)`,
				`environment variable CARILLON_ADMIN__ENABLED: admin.enabled (true) needs admin.password_hash ("", default)`,
			},
		},
		{
			name: "a password that is no hash", file: "admin: {username: a, password_hash: s3cret}",
			want: []string{"x.yaml:1: admin.password_hash: expected a bcrypt hash, which begins with $2 and has 60 characters (what was given is not shown)"},
		},
		{
			name: "Kafka", file: `
broker:
  driver: kafka
  kafka:
    brokers: [localhost]
    topic: a b
    partitions: 0
    replication: -1
    retention: 1ms
    sasl: {mechanism: plain, password: x}
    tls: {cert_file: a.pem}
`,
			want: []string{
				"x.yaml:10: broker.kafka.sasl.mechanism: expected one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, got \"plain\"",
				`x.yaml:5: broker.kafka.brokers: expected host:port, got "localhost"`,
				`x.yaml:6: broker.kafka.topic: expected 1 to 249 letters, digits, ".", "_" and "-", got "a b"`,
				"x.yaml:7: broker.kafka.partitions: expected 1 to 1000, got 0",
				"x.yaml:8: broker.kafka.replication: expected 0 to 100, got -1",
				`x.yaml:9: broker.kafka.retention: expected a duration of at least 1s, got "1ms"`,
				`x.yaml:11: broker.kafka.tls.cert_file ("a.pem") goes only together with broker.kafka.tls.key_file ("", default)`,
				"x.yaml:10: broker.kafka.sasl.password: set without broker.kafka.sasl.user, and so never used",
			},
		},
		{
			name: "recovery", file: `
recovery:
  window: 10ms
  max_bytes: 100KB
  max_parked: 0
`,
			want: []string{
				`x.yaml:3: recovery.window: expected a duration of at least 1s, got "10ms"`,
				"x.yaml:4: recovery.max_bytes: expected a size of at least 1MiB, got 100KB",
				"x.yaml:5: recovery.max_parked: expected 1 or more, got 0",
			},
		},
		{
			name: "a refused value contradicts nothing", file: "server: {max_payload: 2MB, max_queue: big}",
			want: []string{`x.yaml:1: server.max_queue: expected a size such as "1MiB" or a number of bytes, got "big"`},
		},
		{
			name: "the same key in two spellings", file: "server: {listen: ':1'}\nserver.listen: ':2'\n",
			want: []string{"x.yaml:2: server.listen: given twice"},
		},
		{
			name: "what back ends see", file: `
server: {drain: {delay: -1s, rate: -1, linger: -1s, timeout: -1s}}
api: {listen: here, max_body: 17MiB, timeout: 0s, idempotency_ttl: 1ms, idempotency_keys: 0}
webhooks:
  url: https://h
  events: [user.gone]
  client_events: [disconnect]
  batch_size: 0
  queue: -1
  retries: -1
metrics: {listen: 9090}
`,
			want: []string{
				"x.yaml:11: metrics.listen: expected a text, got 9090; put it in quotes",
				`x.yaml:2: server.drain.delay: expected a duration of at least 0s, got "-1s"`,
				"x.yaml:2: server.drain.rate: expected 0 or more, got -1",
				`x.yaml:2: server.drain.linger: expected a duration of at least 0s, got "-1s"`,
				`x.yaml:2: server.drain.timeout: expected a duration of at least 0s, got "-1s"`,
				`x.yaml:3: api.listen: expected host:port or :port, got "here"`,
				"x.yaml:3: api.max_body: expected 1 to 16MiB, which is what nodes can pass on, got 17MiB",
				`x.yaml:3: api.timeout: expected a duration of at least 1ms, got "0s"`,
				`x.yaml:3: api.idempotency_ttl: expected a duration of at least 1s, got "1ms"`,
				"x.yaml:3: api.idempotency_keys: expected 1 or more, got 0",
				`x.yaml:5: webhooks.url ("…") needs webhooks.secret ("", default)`,
				`x.yaml:6: webhooks.events: expected some of [user.online user.offline socket.connected socket.disconnected], got "user.gone"`,
				`x.yaml:7: webhooks.client_events: expected names of events that clients can send, got "disconnect"`,
				"x.yaml:8: webhooks.batch_size: expected 1 or more, got 0",
				"x.yaml:9: webhooks.queue: expected at least webhooks.batch_size (0), got -1",
				"x.yaml:10: webhooks.retries: expected 0 or more, got -1",
			},
		},
		{
			name: "no YAML", file: "server:\n  listen: a: b\n",
			want: []string{"x.yaml:2: not readable as YAML: mapping values are not allowed in this context"},
		},
		{
			name: "a key twice", file: "server:\n  listen: ':1'\n  page: true\n  listen: ':2'\n",
			want: []string{`x.yaml:4: not readable as YAML: mapping key "listen" already defined at line 2`},
		},
		{
			name: "no sections", file: "\n- server\n",
			want: []string{"x.yaml:2: not readable as YAML: expected sections such as server: and broker:"},
		},
		{
			name: "two documents", file: "server: {}\n---\nserver: {}\n",
			want: []string{"x.yaml: not readable as YAML: expected one YAML document, got several"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			file := ""
			if c.file != "" {
				file = write(t, c.file)
			}
			_, err := loadConfig(file, c.environ, c.flags)
			if err == nil {
				t.Fatal("got nil, want it refused")
			}
			if got, want := err.Error(), strings.Join(c.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := loadConfig("nope.yaml", []string{"CARILLON_X=1"}, nil)
	want := "nope.yaml: no such file or directory\nenvironment variable CARILLON_X: x: unknown key, expected one of server, auth, permissions, limits, broker, presence, recovery, api, webhooks, metrics, admin, traces, log"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Whatever is wrong with them, what may hold a password is never shown.
func TestSecretsAreNotShown(t *testing.T) {
	const secret = "s3cret"
	redis := map[string]string{"broker.driver": "redis"}
	for _, file := range []string{
		"broker: {redis: 's3cret'}",
		"broker: {redis: ['s3cret']}",
		"broker: {redis: {password: [s3cret]}}",
		"broker: {kafka: {sasl: {password: [s3cret]}}}",
		"broker: {kafka: {sasl: s3cret}}",
		"broker: {redis: {password: {s3cret: 1}}}",
		"broker: {redis: {pasword: s3cret}}",
		"broker: {redis: {password: *s3cret}}",
		"broker: {redis: {password: !s3cret}}",
		"broker: {redis: {password: !!int s3cret}}",
		"broker: {redis: {password: &s3cret }}",
		"broker: {redis: {password: @s3cret}}",
		"broker: {redis: {password: `s3cret}}",
		"broker: {redis: {password: \"s3cret}}",
		"broker: {redis: {password: %s3cret}}",
		"broker: {redis: {password: s3cret: s3cret}}",
		"broker: {redis: {url: 's3cret'}}",
		"broker: {redis: {url: 'redis://user:s3cret@'}}",
		"broker: {redis: {url: 'redis://user:s3cret@host:port'}}",
		"broker: {redis: {url: 'redis://user:s3cret@host/first'}}",
		"broker: {redis: {url: 'http://user:s3cret@host'}}",
		"broker: {redis: {url: 'redis://user:s3cret%@host'}}",
		"broker: {redis: {url: 'unix://user:s3cret@/run/redis.sock'}}",
		"broker: {redis: {url: [ 'redis://user:s3cret@host' ]}}",
		"admin: {password_hash: s3cret}",
		"admin: {password_hash: [s3cret]}",
		"admin: {enabled: true, password_hash: '$2a$10$s3cret'}",
		"admin: s3cret",
		"api: {keys: s3cret}",
		"api: {keys: [s3cret]}",
		"api: {keys: [[s3cret]]}",
		"api: {keys: {s3cret: 1}}",
		"api: {keys: ['0123456789 s3cret']}",
		"webhooks: {url: s3cret}",
		"webhooks: {url: 'ftp://u:s3cret@host', secret: 0123456789abcdef}",
		"webhooks: {url: 'https://u:s3cret@host'}",
		"webhooks: {url: 'https://host', secret: s3cret}",
	} {
		_, err := loadConfig(write(t, file), nil, redis)
		if err == nil {
			t.Errorf("%s: got nil, want it refused", file)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %v", file, err)
		}
	}
	for _, v := range []string{
		"REDIS_URL=s3cret", "CARILLON_BROKER__REDIS=s3cret", "CARILLON_BROKER__REDIS__URL=redis://:s3cret@h/x",
		"CARILLON_BROKER__REDIS__PASWORD=s3cret", "CARILLON_PASSWORD=s3cret",
	} {
		_, err := loadConfig("", []string{v}, redis)
		if err == nil {
			t.Errorf("%s: got nil, want it refused", v)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %v", v, err)
		}
	}
	for _, url := range []string{
		"redis://localhost", "redis://localhost:6379/0", "rediss://user:pa%20ss@host:1/15?dial_timeout=1s", "redis://:6379",
	} {
		if _, err := loadConfig("", []string{"REDIS_URL=" + url}, redis); err != nil {
			t.Errorf("%s: got %v, want it accepted", url, err)
		}
	}
}

// The same for the URL of a RabbitMQ.
func TestRabbitURL(t *testing.T) {
	rabbit := map[string]string{"broker.driver": "rabbitmq"}
	for _, url := range []string{
		"s3cret", "amqp:s3cret", "amqp://u:s3cret@", "amqp://u:s3cret@:5672", "amqp://u:s3cret@host:port", "amqp://u:s3cret@host/a/b",
		"http://u:s3cret@host", "amqp://u:s3cret%@host", "amqp://u:s3cret@host/ x", "amqps://[u:s3cret@host",
	} {
		_, err := loadConfig("", []string{"RABBITMQ_URL=" + url}, rabbit)
		if err == nil {
			t.Errorf("%s: got nil, want it refused", url)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v", url, err)
		}
	}
	for _, url := range []string{
		"amqp://localhost", "amqp://guest:guest@localhost:5672/", "amqps://u:pa%20ss@host:1/a%2Fb?cacertfile=/ca.pem", "amqp://[::1]:5672/%2F",
	} {
		if _, err := loadConfig("", []string{"RABBITMQ_URL=" + url}, rabbit); err != nil {
			t.Errorf("%s: got %v, want it accepted", url, err)
		}
	}
}
