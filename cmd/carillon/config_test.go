package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	yamlnode "go.yaml.in/yaml/v3"
)

// write puts content into a file x.yaml and makes its folder the current one,
// so that messages have a name that does not change.
func write(t *testing.T, content string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("x.yaml", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return "x.yaml"
}

func TestDefaults(t *testing.T) {
	for _, environ := range [][]string{nil, {"CARILLON_SERVER__LISTEN=", "REDIS_URL=", "HOME=/"}} {
		cfg, err := loadConfig("", environ, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := defaultConfig(); !reflect.DeepEqual(cfg, want) {
			t.Errorf("got %+v, want %+v", cfg, want)
		}
	}
	for _, content := range []string{"", "# nothing\n", "server:\nbroker:\n  redis:\n", "{}"} {
		cfg, err := loadConfig(write(t, content), nil, nil)
		if err != nil || !reflect.DeepEqual(cfg, defaultConfig()) {
			t.Errorf("%q: got %+v, %v; want the defaults", content, cfg, err)
		}
	}
}

// Each source wins over those before it, key by key.
func TestPrecedence(t *testing.T) {
	const file = "server: {listen: ':1', path: /file/, node: file}\nbroker: {redis: {url: 'redis://file'}}"
	environ := []string{
		"CARILLON_SERVER__LISTEN=:2", "CARILLON_SERVER__NODE=env",
		"REDIS_URL=redis://customary", "REDIS_PASSWORD=customary",
	}
	flags := map[string]string{"server.listen": ":3"}
	cfg, err := loadConfig(write(t, file), environ, flags)
	if err != nil {
		t.Fatal(err)
	}
	want := defaultConfig()
	want.Server.Listen, want.Server.Node, want.Server.Path = ":3", "env", "/file/"
	want.Broker.Redis.URL, want.Broker.Redis.Password = "redis://customary", "customary"
	if !reflect.DeepEqual(cfg, want) { // the driver too: an address alone does not choose it
		t.Errorf("got %+v, want %+v", cfg, want)
	}

	environ = append(environ, "CARILLON_BROKER__REDIS__URL=redis://ours", "CARILLON_BROKER__REDIS__PASSWORD=ours")
	for range 2 {
		slices.Reverse(environ) // the order of variables means nothing
		cfg, err := loadConfig("", environ, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.Broker.Redis; got.URL != "redis://ours" || got.Password != "ours" {
			t.Errorf("got %q and %q, want our own variables to win", got.URL, got.Password)
		}
	}
}

// The same values can be said in YAML and in text.
func TestEveryType(t *testing.T) {
	const file = `
server:
  ping_interval: 1m30s
  max_payload: 65536
  max_queue: 2 MiB
  page: false
  cors: {origins: ["https://a.example", "http://localhost:*"]}
broker:
  driver: redis
  reconnect: {retries: 3}
  redis: {max_len: 7}
`
	fromFile, err := loadConfig(write(t, file), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	fromText, err := loadConfig("", []string{
		"CARILLON_SERVER__PING_INTERVAL=1m30s",
		"CARILLON_SERVER__MAX_PAYLOAD=65536",
		"CARILLON_SERVER__MAX_QUEUE=2mib",
		"CARILLON_SERVER__PAGE=0",
		"CARILLON_SERVER__CORS__ORIGINS=https://a.example, http://localhost:*",
		"CARILLON_BROKER__RECONNECT__RETRIES=3",
		"CARILLON_BROKER__REDIS__MAX_LEN=7",
	}, map[string]string{"broker.driver": "redis"})
	if err != nil {
		t.Fatal(err)
	}
	want := defaultConfig()
	want.Server.PingInterval = 90 * time.Second
	want.Server.MaxPayload, want.Server.MaxQueue = 65536, 2<<20
	want.Server.Page = false
	want.Server.CORS.Origins = []string{"https://a.example", "http://localhost:*"}
	want.Broker.Driver, want.Broker.Reconnect.Retries, want.Broker.Redis.MaxLen = "redis", 3, 7
	for _, got := range []Config{fromFile, fromText} {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// Variables that begin like ours and belong to others are left alone.
func TestForeignVariables(t *testing.T) {
	ours := []string{"CARILLON_PORT=3000", "CARILLON_LISTEN=:1", "CARILLON_SERVER_LISTEN=:1", "CARILLON_CONFIG=x"}
	theirs := []string{
		"CARILLON_TEST_REDIS=localhost:6379", "CARILLON_TEST_RABBITMQ=amqp://localhost",
		"CARILLON_SERVICE_HOST=10.0.0.11", "CARILLON_SERVICE_PORT=3000", "CARILLON_SERVICE_PORT_HTTP=3000",
		"CARILLON_PORT=tcp://10.0.0.11:3000", "CARILLON_PORT_3000_TCP=tcp://10.0.0.11:3000",
		"CARILLON_PORT_3000_TCP_PROTO=tcp", "CARILLON_PORT_3000_TCP_PORT=3000", "CARILLON_PORT_3000_TCP_ADDR=fd00::b",
		"CARILLON_REDIS_SERVICE_HOST=10.0.0.12", "CARILLON_REDIS_PORT=tcp://10.0.0.12:6379",
		"CARILLONX=1", "XCARILLON_Y=1",
	}
	if _, err := loadConfig("", theirs, nil); err != nil {
		t.Errorf("got %v, want none refused", err)
	}
	for _, v := range ours {
		if _, err := loadConfig("", []string{v}, nil); err == nil {
			t.Errorf("%s: got nil, want it refused", v)
		}
	}
}

// The files in configs are complete, load, and tell the truth about defaults:
// a value is the default unless the comment above it names another, which is.
func TestConfigFiles(t *testing.T) {
	files, err := filepath.Glob("../../configs/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("got %v, %v", files, err)
	}
	wants := map[string]func(*Config){
		"memory.yaml":   func(*Config) {},
		"redis.yaml":    func(c *Config) { c.Broker.Driver = "redis" },
		"rabbitmq.yaml": func(c *Config) { c.Broker.Driver = "rabbitmq" },
		"kafka.yaml":    func(c *Config) { c.Broker.Driver = "kafka" },
	}
	for _, file := range files {
		if filepath.Base(file) == "production.yaml" {
			continue // which has what differs alone; see TestProduction
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			want := defaultConfig()
			set, ok := wants[filepath.Base(file)]
			if !ok {
				t.Fatal("this file has no test: say in wants how it differs from the defaults")
			}
			set(&want)
			if got, err := loadConfig(file, nil, nil); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, %v; want %+v", got, err, want)
			}

			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var document yamlnode.Node
			if err := yamlnode.Unmarshal(data, &document); err != nil {
				t.Fatal(err)
			}
			written := map[string]setting{}
			settings(written, "", "", document.Content[0])
			for _, f := range newSchema().fields {
				got, ok := written[f.key]
				if !ok {
					if !ofAnotherBroker(f.key, want.Broker.Driver) {
						t.Errorf("%s is missing", f.key)
					}
					continue
				}
				delete(written, f.key)
				if claim := claimed.FindStringSubmatch(got.comment); claim != nil {
					got.text = claim[1]
				}
				if got.text != f.initialText() {
					t.Errorf("%s: the file says that the default is %s, and it is %s", f.key, got.text, f.initialText())
				}
				if got.comment == "" {
					t.Errorf("%s: without a comment", f.key)
				}
			}
			for key := range written {
				t.Errorf("%s is no key", key)
			}
		})
	}
}

// ofAnotherBroker reports whether a key is for one driver, and not for this.
func ofAnotherBroker(key, driver string) bool {
	section, _, _ := strings.Cut(strings.TrimPrefix(key, "broker."), ".")
	return slices.Contains(newSchema().byKey["broker.driver"].oneOf, section) && section != driver
}

// claimed is how a comment names a default that is not the value below it.
var claimed = regexp.MustCompile(`Default: (\S+)\.`)

type setting struct{ text, comment string }

// settings collects what a file says key by key, with the comment above the
// key or, for a group of keys, above the first of them or their section.
func settings(out map[string]setting, prefix, above string, n *yamlnode.Node) {
	for i := 0; i < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.HeadComment != "" {
			above = k.HeadComment
		}
		key := joinKey(prefix, k.Value)
		switch {
		case v.Kind == yamlnode.MappingNode:
			settings(out, key, above, v)
		case v.Kind == yamlnode.SequenceNode:
			items := []string{}
			for _, item := range v.Content {
				items = append(items, item.Value)
			}
			out[key] = setting{fmt.Sprint(items), above}
		case v.Value == "":
			out[key] = setting{`""`, above}
		default:
			out[key] = setting{v.Value, above}
		}
	}
}

// hash is one of bcrypt's.
const hash = "$2a$04$zmZh2KuhdN5TL.2hrEQgQ.nb5MdD.3jXdBGwaqJjSDgSMoOBlOqxy"

// Every key can be set from each place, under the name that the help gives.
func TestEveryKeyByEnvironment(t *testing.T) {
	samples := map[string]string{
		"server.listen": "127.0.0.1:1", "server.node": "n", "server.path": "/p/", "server.cors.origins": "https://a",
		"server.page": "false", "server.any_node": "false", "server.cors.credentials": "true", "server.max_queue": "3MB", "server.max_payload": "2KB",
		"server.origins": "https://b", "server.namespaces": "/chat,/team-*", "server.tls.cert_file": "c.pem", "server.tls.key_file": "k.pem",
		"server.trusted_proxies": "10.0.0.0/8", "server.proxy_header": "Forwarded",
		"auth.mode": "jwt", "auth.jwt.algorithms": "HS256,ES256", "auth.jwt.secret": strings.Repeat("s", 32),
		"auth.jwt.public_key": publicKeyPEM, "auth.jwt.key_file": "keys.pem", "auth.jwt.jwks_url": "https://h/keys",
		"auth.jwt.issuer": "i", "auth.jwt.audience": "a,b", "auth.jwt.require_expiry": "false", "auth.jwt.claim": "c", "auth.jwt.query": "q",
		"auth.webhook.url": "https://h/", "auth.webhook.secret": strings.Repeat("w", 16), "auth.webhook.headers": "Cookie",
		"auth.webhook.concurrency": "2", "auth.webhook.failures": "3", "auth.webhook.down": "anonymous",
		"permissions.namespaces": "/", "permissions.rooms": "a*", "permissions.message": "false",
		"permissions.broadcast": "false", "permissions.presence": "false",
		"limits.connections": "1", "limits.connections_per_address": "2", "limits.connections_per_user": "3",
		"limits.handshakes_per_second": "4", "limits.handshakes_burst": "5", "limits.address_handshakes_per_second": "6",
		"limits.address_handshakes_burst": "7", "limits.half_open": "8", "limits.headers": "8KiB",
		"limits.socket.messages_per_second": "1", "limits.socket.messages_burst": "2", "limits.socket.bytes_per_second": "3",
		"limits.socket.bytes_burst": "4MB", "limits.user.messages_per_second": "5", "limits.user.messages_burst": "6",
		"limits.user.bytes_per_second": "7MB", "limits.user.bytes_burst": "8MB",
		"broker.driver": "redis", "broker.cluster": "c", "broker.buffer": "1GiB", "broker.reconnect.retries": "3",
		"broker.reconnect.then": "exit", "broker.redis.url": "rediss://h:1/2", "broker.redis.password": "p",
		"broker.redis.mode": "sentinel", "broker.redis.addrs": "b:1,c:2", "broker.redis.sentinel.master": "m",
		"broker.redis.sentinel.user": "u", "broker.redis.sentinel.password": "p", "broker.redis.tls.ca_file": "ca.pem",
		"broker.redis.tls.cert_file": "cert.pem", "broker.redis.tls.key_file": "key.pem",
		"recovery.enabled": "false", "recovery.window": "3m", "recovery.max_bytes": "1GiB", "recovery.max_parked": "7",
		"admin.enabled": "true", "admin.username": "a", "admin.password_hash": hash,
		"admin.read_only": "true", "admin.development": "true",
		"broker.redis.max_len": "5", "broker.rabbitmq.url": "amqps://h:1/v", "broker.rabbitmq.password": "q",
		"broker.rabbitmq.max_size": "2MB", "log.level": "warn", "log.format": "json", "broker.reconnect.base": "2s",
		"broker.kafka.brokers": "a:1,b:2", "broker.kafka.topic": "t", "broker.kafka.partitions": "3",
		"broker.kafka.replication": "2", "broker.kafka.sasl.mechanism": "SCRAM-SHA-512", "broker.kafka.sasl.user": "u",
		"broker.kafka.sasl.password": "p", "broker.kafka.tls.enabled": "true", "broker.kafka.tls.ca_file": "ca.pem",
		"broker.kafka.tls.cert_file": "cert.pem", "broker.kafka.tls.key_file": "key.pem",
		"presence.mode": "counts", "presence.window": "1s", "presence.grace": "3s", "traces.enabled": "true", "traces.endpoint": "http://h:4318", "traces.sample": "0.5", "traces.service_name": "bells",
		"presence.max_users": "7", "presence.max_watch": "8",
		"api.keys": "0123456789abcdef,fedcba9876543210", "api.listen": ":1", "api.max_body": "2MB",
		"api.idempotency_keys": "7", "metrics.enabled": "false", "metrics.listen": ":2",
		"webhooks.url": "https://h/p", "webhooks.secret": "0123456789abcdef", "webhooks.events": "socket.connected",
		"webhooks.client_events": "order", "webhooks.batch_size": "7", "webhooks.queue": "70", "webhooks.retries": "3",
	}
	var environ []string
	for _, f := range newSchema().fields {
		sample, ok := samples[f.key]
		if _, isDuration := f.initial.(time.Duration); isDuration && !ok {
			sample = "2m"
		} else if !ok {
			t.Fatalf("%s has no sample", f.key)
		}
		delete(samples, f.key)
		environ = append(environ, variable(f.key)+"="+sample)
	}
	if len(samples) > 0 {
		t.Errorf("samples of no key: %v", slices.Sorted(maps.Keys(samples)))
	}
	cfg, err := loadConfig("", environ, nil)
	if err != nil {
		t.Fatal(err)
	}
	refuseDefaults(t, "", reflect.ValueOf(cfg), reflect.ValueOf(defaultConfig()))
}

// refuseDefaults fails for every value in got that is the default.
func refuseDefaults(t *testing.T, prefix string, got, initial reflect.Value) {
	for i := range got.NumField() {
		key := joinKey(prefix, got.Type().Field(i).Tag.Get("koanf"))
		if got.Field(i).Kind() == reflect.Struct {
			refuseDefaults(t, key, got.Field(i), initial.Field(i))
		} else if reflect.DeepEqual(got.Field(i).Interface(), initial.Field(i).Interface()) {
			t.Errorf("%s was not set by %s", key, variable(key))
		}
	}
}

func TestSize(t *testing.T) {
	for in, want := range map[string]Size{
		"0": 0, "7": 7, "12B": 12, "1KB": 1000, "1KiB": 1024, "64kib": 65536, "3 MB": 3e6, "1MiB": 1 << 20,
		"32MiB": 32 << 20, "2GB": 2e9, "1GiB": 1 << 30, "9223372036854775807": 1<<63 - 1,
	} {
		got, ok := parseSize(in)
		if !ok || got != want {
			t.Errorf("%q: got %d, %v, want %d", in, got, ok, want)
		}
		if again, ok := parseSize(got.String()); !ok || again != want {
			t.Errorf("%q: written as %q, which is read as %d, %v", in, got, again, ok)
		}
	}
	for _, in := range []string{"", "B", "MB", "-1", "-1MB", "1.5MB", "1TB", "1 M B", "0x10", "9223372036854775808", "9999999999GiB", "１MB"} {
		if got, ok := parseSize(in); ok {
			t.Errorf("%q: got %d, want it refused", in, got)
		}
	}
}

func TestRandomNode(t *testing.T) {
	a, b := randomNode(), randomNode()
	if a == b {
		t.Errorf("got %q twice", a)
	}
	if !validName.MatchString(a) || len(a) > maxNodeName {
		t.Errorf("got %q, which the configuration would refuse", a)
	}
}

// FuzzFile: whatever a file holds, it is loaded or refused with its name in
// front of every line, and nothing panics.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		"", "server: {listen: ':1'}", "a: &a {b: *a}", "server: {1: 2}", "server.listen: x\nserver: {listen: y}",
		"? [a]\n: b", "<<: {server: {page: no}}", "broker: [1]", "---\n---\n", "a: *b", "a: !!int x", "server: !x {page: 1}",
	} {
		f.Add([]byte(seed))
	}
	for _, name := range []string{"memory", "redis", "rabbitmq", "kafka"} {
		data, err := os.ReadFile("../../configs/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l := newLoader()
		l.yaml("x.yaml", data)
		for _, err := range l.problems {
			if !strings.HasPrefix(err.Error(), "x.yaml:") {
				t.Errorf("%q: got %q, want it to begin with the file's name", data, err)
			}
		}
		if _, err := l.config(); err == nil && len(l.problems) > 0 {
			t.Errorf("%q: loaded, with problems", data)
		}
	})
}
