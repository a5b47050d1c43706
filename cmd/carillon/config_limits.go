package main

import (
	"strings"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/front"
	"github.com/carillonhq/carillon/cmd/carillon/internal/limit"
)

// Limits bound what clients may take of this node. 0 is no limit.
type Limits struct {
	// Connections is how many clients may be connected to this node. Others
	// are answered with status 503. Default: 0.
	Connections int `koanf:"connections"`

	// ConnectionsPerAddress is how many from one IP address, or from one /64
	// network of IPv6. Others are answered with status 429. Default: 0.
	ConnectionsPerAddress int `koanf:"connections_per_address"`

	// ConnectionsPerUser is how many of one user to this node. Others get a
	// connect_error with the code too_many_connections. Default: 0.
	ConnectionsPerUser int `koanf:"connections_per_user"`

	// HandshakesPerSecond is how many clients may connect to this node in a
	// second, after HandshakesBurst at once (0: as many). Others are answered
	// with status 429. Defaults: 0, 0.
	HandshakesPerSecond int `koanf:"handshakes_per_second"`
	HandshakesBurst     int `koanf:"handshakes_burst"`

	// AddressHandshakesPerSecond and AddressHandshakesBurst are the same for
	// one address. Defaults: 0, 0.
	AddressHandshakesPerSecond int `koanf:"address_handshakes_per_second"`
	AddressHandshakesBurst     int `koanf:"address_handshakes_burst"`

	Socket LimitsTraffic `koanf:"socket"` // of one socket
	User   LimitsTraffic `koanf:"user"`   // of all sockets of a user on this node

	// HalfOpen is how many connections may be without a request. Beyond it the
	// oldest is closed. Default: 1024.
	HalfOpen int `koanf:"half_open"`

	// HeaderTimeout bounds the time that the headers of a request take to come
	// in, and TLS before it. Default: 10s.
	HeaderTimeout time.Duration `koanf:"header_timeout"`

	// RequestTimeout bounds the time that a whole request takes to come in, and
	// the rest between two on one connection. Default: 1m.
	RequestTimeout time.Duration `koanf:"request_timeout"`

	// Headers bounds those of a request, in bytes, at least 4KiB.
	// Default: 32KiB.
	Headers Size `koanf:"headers"`
}

// LimitsTraffic bounds what is said. What is beyond is refused with the code
// rate_limited.
type LimitsTraffic struct {
	// MessagesPerSecond is how many events in a second, after MessagesBurst at
	// once (0: as many). Defaults: 0, 0.
	MessagesPerSecond int `koanf:"messages_per_second"`
	MessagesBurst     int `koanf:"messages_burst"`

	// BytesPerSecond is how many bytes they hold, after BytesBurst at once (0:
	// as many). An event larger than that is always refused. Defaults: 0, 0.
	BytesPerSecond Size `koanf:"bytes_per_second"`
	BytesBurst     Size `koanf:"bytes_burst"`
}

// ServerTLS is how to encrypt the connections of clients.
type ServerTLS struct {
	// CertFile and KeyFile are this node's certificate, with those that vouch
	// for it, and its key, in PEM. They are read again when they change.
	// Default: empty, for no encryption.
	CertFile string `koanf:"cert_file"`
	KeyFile  string `koanf:"key_file"`
}

func defaultLimits() Limits {
	return Limits{HalfOpen: 1024, HeaderTimeout: 10 * time.Second, RequestTimeout: time.Minute, Headers: 32 << 10}
}

// limits is what the section says of the clients that are let in.
func (c Limits) limits() limit.Limits {
	return limit.Limits{
		Connections:           c.Connections,
		ConnectionsPerAddress: c.ConnectionsPerAddress,
		ConnectionsPerUser:    c.ConnectionsPerUser,
		Handshakes:            limit.Rate{PerSecond: c.HandshakesPerSecond, Burst: c.HandshakesBurst},
		HandshakesPerAddress:  limit.Rate{PerSecond: c.AddressHandshakesPerSecond, Burst: c.AddressHandshakesBurst},
		Socket:                c.Socket.traffic(),
		User:                  c.User.traffic(),
	}
}

func (c LimitsTraffic) traffic() limit.Traffic {
	return limit.Traffic{
		Messages: limit.Rate{PerSecond: c.MessagesPerSecond, Burst: c.MessagesBurst},
		Bytes:    limit.Rate{PerSecond: int(c.BytesPerSecond), Burst: int(c.BytesBurst)},
	}
}

func (l *loader) checkLimits(c Limits) {
	for _, n := range []struct {
		key   string
		value int64
	}{
		{"connections", int64(c.Connections)},
		{"connections_per_address", int64(c.ConnectionsPerAddress)},
		{"connections_per_user", int64(c.ConnectionsPerUser)},
		{"handshakes_per_second", int64(c.HandshakesPerSecond)},
		{"handshakes_burst", int64(c.HandshakesBurst)},
		{"address_handshakes_per_second", int64(c.AddressHandshakesPerSecond)},
		{"address_handshakes_burst", int64(c.AddressHandshakesBurst)},
		{"half_open", int64(c.HalfOpen)},
	} {
		l.limit("limits."+n.key, n.value)
	}
	l.checkTraffic("limits.socket.", c.Socket)
	l.checkTraffic("limits.user.", c.User)
	l.lasting("limits.header_timeout", c.HeaderTimeout, time.Millisecond)
	l.lasting("limits.request_timeout", c.RequestTimeout, time.Millisecond)
	atLeast(l, "limits.request_timeout", c.RequestTimeout, "limits.header_timeout", c.HeaderTimeout)
	l.unless(c.Headers >= 4<<10 && c.Headers <= 1<<20, "limits.headers", "expected 4KiB to 1MiB, got %v", c.Headers)
}

func (l *loader) checkTraffic(prefix string, c LimitsTraffic) {
	l.limit(prefix+"messages_per_second", int64(c.MessagesPerSecond))
	l.limit(prefix+"messages_burst", int64(c.MessagesBurst))
	l.limit(prefix+"bytes_per_second", int64(c.BytesPerSecond))
	l.limit(prefix+"bytes_burst", int64(c.BytesBurst))
}

// maxLimit is beyond what any machine could do.
const maxLimit = 1 << 40

func (l *loader) limit(key string, n int64) {
	l.unless(n >= 0 && n <= maxLimit, key, "expected 0 (no limit) or more, got %d", n)
}

// checkFront refuses what the section server says of who may connect.
func (l *loader) checkFront(s Server) {
	if (s.TLS.CertFile == "") != (s.TLS.KeyFile == "") {
		l.clash("server.tls.cert_file", s.TLS.CertFile, "goes only together with", "goes only together with", "server.tls.key_file", s.TLS.KeyFile)
	}
	_, err := front.NewProxies(s.TrustedProxies, s.ProxyHeader)
	l.unless(err == nil, "server.trusted_proxies", "%v", err)
	for _, n := range s.Namespaces {
		l.unless(n == "*" || strings.HasPrefix(n, "/"), "server.namespaces", `expected names that begin with "/", got %q`, n)
	}
	for _, o := range s.Origins {
		l.unless(originPattern(o), "server.origins", `expected "*" or scheme://host[:port] without a path, got %q`, o)
	}
}

func originPattern(o string) bool {
	scheme, host, ok := strings.Cut(o, "://")
	return o == "*" || ok && scheme != "" && host != "" && !strings.ContainsAny(host, "/?# ")
}
