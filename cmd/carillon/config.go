package main

import "time"

// A Config is all that can be set, by a YAML file, by the environment or by
// flags; see loadConfig for the order. The tags are the keys: server.listen
// is listen below server in the file and CARILLON_SERVER__LISTEN in the
// environment. Durations are written as Go writes them ("1m30s"), sizes as a
// number of bytes or with a unit ("1MB" is 1,000,000, "1MiB" is 1,048,576).
type Config struct {
	Server      Server      `koanf:"server"`
	Auth        Auth        `koanf:"auth"`
	Permissions Permissions `koanf:"permissions"`
	Limits      Limits      `koanf:"limits"`
	Broker      Broker      `koanf:"broker"`
	Presence    Presence    `koanf:"presence"`
	Recovery    Recovery    `koanf:"recovery"`
	API         API         `koanf:"api"`
	Webhooks    Webhooks    `koanf:"webhooks"`
	Metrics     Metrics     `koanf:"metrics"`
	Admin       Admin       `koanf:"admin"`
	Traces      Traces      `koanf:"traces"`
	Log         Log         `koanf:"log"`
}

// Server is what clients see of this node.
type Server struct {
	// Listen is the host:port to listen on for HTTP. An empty host is every
	// address, port 0 any free port. Default: ":3000".
	Listen string `koanf:"listen"`

	// Node names this node among its peers, in logs and in answers; no two
	// running nodes of a cluster may share a name. Letters, digits, ".", "_"
	// and "-", at most 128. Default: empty, for the host's name and a random
	// suffix, new with every start.
	Node string `koanf:"node"`

	// Path is where Socket.IO answers; clients call it the option "path".
	// Default: "/socket.io/".
	Path string `koanf:"path"`

	// PingInterval is the time between the heartbeats sent to a client
	// (Engine.IO protocol v4). Default: 25s.
	PingInterval time.Duration `koanf:"ping_interval"`

	// PingTimeout is how long a heartbeat's answer may take before the client
	// counts as gone. Default: 20s.
	PingTimeout time.Duration `koanf:"ping_timeout"`

	// UpgradeTimeout bounds a client's change from polling to WebSocket.
	// Default: 10s.
	UpgradeTimeout time.Duration `koanf:"upgrade_timeout"`

	// AnyNode lets the requests of one client come to any node of the cluster,
	// by long-polling and for the change to WebSocket, so that no balancer has to
	// be sticky. Off, it takes one that is. The same on all nodes. It means
	// nothing to the driver "memory". Default: true.
	AnyNode bool `koanf:"any_node"`

	// UpgradeHold is how long a new client that polls is let wait for the answer
	// of its first request, if other nodes are up: when it changes to WebSocket
	// in that time, and at another node, it can move there as a whole. 0 makes
	// nobody wait; such a client's frames take the way over both nodes then.
	// Default: 500ms.
	UpgradeHold time.Duration `koanf:"upgrade_hold"`

	// ConnectTimeout is how long a connection may stay without having joined
	// a namespace. Default: 45s.
	ConnectTimeout time.Duration `koanf:"connect_timeout"`

	// MaxPayload bounds what a client sends in one WebSocket frame or in one
	// HTTP request, in bytes. Clients are told and split their polling
	// requests by it. At most what nodes can pass on, 16MiB. Default: 1MB.
	MaxPayload Size `koanf:"max_payload"`

	// MaxQueue bounds what waits for one client, in bytes; a client that
	// lets more pile up is disconnected. At least MaxPayload. Default: 1MiB.
	MaxQueue Size `koanf:"max_queue"`

	// WriteTimeout bounds one write to a client's connection; a client that
	// does not read for so long is disconnected. Default: 10s.
	WriteTimeout time.Duration `koanf:"write_timeout"`

	CORS CORS `koanf:"cors"`

	// Origins are of the web pages that may connect at all, by WebSocket too:
	// scheme://host[:port], in which "*" stands for any text. This server's own
	// pages may, and what is no browser. Default: "*".
	Origins []string `koanf:"origins"`

	// Namespaces are patterns of the namespaces that exist beside "/": names in
	// which "*" stands for any text. Default: none.
	Namespaces []string `koanf:"namespaces"`

	TLS ServerTLS `koanf:"tls"`

	// TrustedProxies are the IP addresses, or networks such as 10.0.0.0/8, of
	// the proxies and balancers that tell a client's address. Default: none.
	TrustedProxies []string `koanf:"trusted_proxies"`

	// ProxyHeader is where they tell it, "X-Forwarded-For" or "Forwarded". They
	// must not pass on a client's own. Default: "X-Forwarded-For".
	ProxyHeader string `koanf:"proxy_header" oneof:"X-Forwarded-For Forwarded"`

	// Page serves a page at "/": a console that shows the nodes of the cluster,
	// and clients to try the server with. Those watch who may see presence.
	// Default: true.
	Page bool `koanf:"page"`

	Drain Drain `koanf:"drain"`

	// ShutdownTimeout bounds the orderly end that follows Drain. Default: 10s.
	ShutdownTimeout time.Duration `koanf:"shutdown_timeout"`
}

// CORS says which web pages of other origins may use HTTP, and so polling.
// Browsers do not ask it about WebSockets: it keeps nobody out.
type CORS struct {
	// Origins are scheme://host[:port], without a path; "*" stands for every
	// origin, or for a part of one ("https://*.example.com").
	// Default: none.
	Origins []string `koanf:"origins"`

	// Credentials lets those pages send cookies and HTTP authentication.
	// Not together with the origin "*". Default: false.
	Credentials bool `koanf:"credentials"`
}

// Broker is what joins the nodes of a cluster.
type Broker struct {
	// Driver is "memory" (this process alone), "redis", "rabbitmq" or "kafka".
	// Default: "memory".
	Driver string `koanf:"driver" oneof:"memory redis rabbitmq kafka"`

	// Cluster keeps clusters that share a broker apart: nodes hear each other
	// if they agree on it. Letters, digits, ".", "_" and "-", at most 64.
	// Default: "carillon".
	Cluster string `koanf:"cluster"`

	// Heartbeat is the time between a node's signs of life to its peers; five
	// of them missed, and a node counts as down. The same on all nodes, at
	// least 10ms. Default: 1s.
	Heartbeat time.Duration `koanf:"heartbeat"`

	// Buffer bounds, in bytes, the messages that wait in this node for the
	// broker, and so how long the broker may be away without a loss. At least
	// Server.MaxPayload. Default: 32MiB.
	Buffer Size `koanf:"buffer"`

	Reconnect Reconnect `koanf:"reconnect"`
	Redis     Redis     `koanf:"redis"`
	RabbitMQ  RabbitMQ  `koanf:"rabbitmq"`
	Kafka     Kafka     `koanf:"kafka"`
}

// Reconnect is the one policy for a broker that cannot be reached, at the
// start as later: retry n follows a wait of n × Base, at most Max.
type Reconnect struct {
	// Base is the wait before the first retry. Default: 100ms.
	Base time.Duration `koanf:"base"`

	// Max bounds the wait before each retry. At least Base. Default: 3s.
	Max time.Duration `koanf:"max"`

	// Retries is how many may fail before Then applies, at least 1.
	// Default: 10.
	Retries int `koanf:"retries"`

	// Then is "degrade" (keep serving this node's own clients, report not
	// ready, and keep trying every Max) or "exit". Default: "degrade".
	Then string `koanf:"then" oneof:"degrade exit"`
}

// Redis is what the driver "redis" needs.
type Redis struct {
	// URL is redis://[user:password@]host[:port][/database], or rediss:// to
	// encrypt the connections. REDIS_URL sets it too.
	// Default: "redis://localhost:6379/0".
	URL string `koanf:"url" secret:"true"`

	// Password, unless empty, takes the place of the URL's password, so that
	// the URL need not be kept secret. REDIS_PASSWORD sets it too.
	// Default: empty.
	Password string `koanf:"password" secret:"true"`

	// Mode is what is at the URL: "standalone" (one Redis), "cluster" (a node of
	// a Redis Cluster) or "sentinel" (a Sentinel, which knows the primary; the
	// user and password are those of the primary). Default: "standalone".
	Mode string `koanf:"mode" oneof:"standalone cluster sentinel"`

	// Addrs are host:port of further nodes of the Redis Cluster, or of further
	// Sentinels, to ask where the one in the URL is away. Default: none.
	Addrs []string `koanf:"addrs"`

	Sentinel RedisSentinel `koanf:"sentinel"`
	TLS      RedisTLS      `koanf:"tls"`

	// MaxLen is about how many entries Redis keeps of each stream: how far a
	// node may fall behind and still lose nothing. Default: 10000.
	MaxLen int64 `koanf:"max_len"`
}

// RedisSentinel is what the mode "sentinel" needs.
type RedisSentinel struct {
	// Master is the name by which the Sentinels know the primary.
	// Default: empty.
	Master string `koanf:"master"`

	// User is who the Sentinels know this node as, where they have users.
	// Default: empty.
	User string `koanf:"user"`

	// Password is that of the Sentinels, where they want one. Default: empty.
	Password string `koanf:"password" secret:"true"`
}

// RedisTLS has the files for encrypted connections (rediss://).
type RedisTLS struct {
	// CAFile has the certificates, in PEM, of who may vouch for Redis.
	// Default: empty, for those that the system trusts.
	CAFile string `koanf:"ca_file"`

	// CertFile and KeyFile are this node's own certificate and its key, in
	// PEM, where Redis wants one. Default: none.
	CertFile string `koanf:"cert_file"`
	KeyFile  string `koanf:"key_file"`
}

// Admin is who may watch and steer the server with Socket.IO's Admin UI, which
// connects to the namespace "/admin".
type Admin struct {
	// Enabled lets administrators in. It needs Username and PasswordHash.
	// Default: false.
	Enabled bool `koanf:"enabled"`

	// Username is the name that administrators log in with. Default: empty.
	Username string `koanf:"username"`

	// PasswordHash is the bcrypt hash of their password. Default: empty.
	PasswordHash string `koanf:"password_hash" secret:"true"`

	// ReadOnly lets them look, but not emit, disconnect, or make sockets join
	// and leave rooms. Default: false.
	ReadOnly bool `koanf:"read_only"`

	// Development shows them each socket, room and event as well, which is
	// heavy: all that is said is copied to them. Default: false.
	Development bool `koanf:"development"`
}

// RabbitMQ is what the driver "rabbitmq" needs.
type RabbitMQ struct {
	// URL is amqp://[user:password@]host[:port][/vhost], or amqps:// for TLS,
	// with RabbitMQ's URI query parameters, such as ?cacertfile=ca.pem.
	// RABBITMQ_URL sets it too. Default: "amqp://guest:guest@localhost:5672/".
	URL string `koanf:"url" secret:"true"`

	// Password, unless empty, takes the place of the URL's password, so that
	// the URL need not be kept secret. RABBITMQ_PASSWORD sets it too.
	// Default: empty.
	Password string `koanf:"password" secret:"true"`

	// MaxSize bounds what RabbitMQ keeps in each queue: how far a node may fall
	// behind and still lose nothing. At least 1MiB. Default: 64MiB.
	MaxSize Size `koanf:"max_size"`
}

// Kafka is what the driver "kafka" needs.
type Kafka struct {
	// Brokers are host:port of some of the brokers; they name the others.
	// KAFKA_BROKERS sets them too. Default: "localhost:9092".
	Brokers []string `koanf:"brokers"`

	// Topic is the one topic that carries everything; clusters may share it.
	// Default: "carillon".
	Topic string `koanf:"topic"`

	// Partitions, Replication and Retention are those of the topic if it has
	// to be created. Replication 0 is as many replicas as there are brokers,
	// at most 3. Retention is how far a node may fall behind and still lose
	// nothing, at least 1s. Defaults: 8, 0, 10m.
	Partitions  int           `koanf:"partitions"`
	Replication int           `koanf:"replication"`
	Retention   time.Duration `koanf:"retention"`

	SASL KafkaSASL `koanf:"sasl"`
	TLS  KafkaTLS  `koanf:"tls"`
}

// KafkaSASL is how to log in to Kafka.
type KafkaSASL struct {
	// Mechanism is "PLAIN", "SCRAM-SHA-256" or "SCRAM-SHA-512".
	// Default: "PLAIN".
	Mechanism string `koanf:"mechanism" oneof:"PLAIN SCRAM-SHA-256 SCRAM-SHA-512"`

	// User and Password are for it. Default: no user, and so no login.
	User     string `koanf:"user"`
	Password string `koanf:"password" secret:"true"`
}

// KafkaTLS is how to encrypt the connections to Kafka.
type KafkaTLS struct {
	// Enabled turns it on. Default: false.
	Enabled bool `koanf:"enabled"`

	// CAFile has the certificates, in PEM, of who may vouch for the brokers.
	// Default: empty, for those that the system trusts.
	CAFile string `koanf:"ca_file"`

	// CertFile and KeyFile are this node's own certificate and its key, in
	// PEM, where the brokers want one. Default: none.
	CertFile string `koanf:"cert_file"`
	KeyFile  string `koanf:"key_file"`
}

// Log is what the process tells on its standard error.
type Log struct {
	// Level is the least that is logged: "debug", "info", "warn" or "error".
	// Default: "info".
	Level string `koanf:"level" oneof:"debug info warn error"`

	// Format is "text", "json", or "auto": text on a terminal and JSON
	// otherwise. Default: "auto".
	Format string `koanf:"format" oneof:"auto text json"`
}

// defaultConfig is the configuration of a server that was told nothing. The
// times of the protocol and the payload's bound are those of Socket.IO 4.
func defaultConfig() Config {
	return Config{
		Server: Server{
			Listen:          ":3000",
			Path:            "/socket.io/",
			PingInterval:    25 * time.Second,
			PingTimeout:     20 * time.Second,
			UpgradeTimeout:  10 * time.Second,
			AnyNode:         true,
			UpgradeHold:     500 * time.Millisecond,
			ConnectTimeout:  45 * time.Second,
			MaxPayload:      1_000_000,
			MaxQueue:        1 << 20,
			WriteTimeout:    10 * time.Second,
			Origins:         []string{"*"},
			ProxyHeader:     "X-Forwarded-For",
			Page:            true,
			Drain:           Drain{Period: 5 * time.Second},
			ShutdownTimeout: 10 * time.Second,
		},
		Auth:        defaultAuth(),
		Permissions: defaultPermissions(),
		Limits:      defaultLimits(),
		Broker: Broker{
			Driver:    "memory",
			Cluster:   "carillon",
			Heartbeat: time.Second,
			Buffer:    32 << 20,
			Reconnect: Reconnect{
				Base:    100 * time.Millisecond,
				Max:     3 * time.Second,
				Retries: 10,
				Then:    "degrade",
			},
			Redis:    Redis{URL: "redis://localhost:6379/0", Mode: "standalone", MaxLen: 10_000},
			RabbitMQ: RabbitMQ{URL: "amqp://guest:guest@localhost:5672/", MaxSize: 64 << 20},
			Kafka: Kafka{
				Brokers:    []string{"localhost:9092"},
				Topic:      "carillon",
				Partitions: 8,
				Retention:  10 * time.Minute,
				SASL:       KafkaSASL{Mechanism: "PLAIN"},
			},
		},
		Presence: defaultPresence(),
		API:      defaultAPI(),
		Webhooks: defaultWebhooks(),
		Metrics:  Metrics{Enabled: true},
		Traces:   defaultTraces(),
		Recovery: defaultRecovery(),
		Log:      Log{Level: "info", Format: "auto"},
	}
}
