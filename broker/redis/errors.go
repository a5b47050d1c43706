package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// explain wraps err with a sentence that says what to change.
func (c *Config) explain(err error) error {
	if err == nil {
		return nil
	}
	who, why := c.where(), c.why(err)
	if c.Mode == Sentinel {
		if reason := sentinels(err); reason != "" {
			why = reason
		} else {
			who = c.Master + " of " + who
		}
	}
	if why == "" {
		return fmt.Errorf("redis: %s: %w", who, err)
	}
	return fmt.Errorf("redis: %s %s: %w", who, why, err)
}

// where is what was configured, without what is secret.
func (c *Config) where() string {
	o, err := c.parse()
	if err != nil {
		return ""
	}
	addrs := strings.Join(append([]string{o.Addr}, c.Addrs...), ",")
	switch c.Mode {
	case Cluster:
		return "the cluster of " + addrs
	case Sentinel:
		return "the Sentinel at " + addrs
	}
	return addrs
}

// why is what is wrong with Redis, or "".
func (c *Config) why(err error) string {
	var (
		dns       *net.DNSError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
	)
	has := contains(err)
	switch {
	case has("NOAUTH"):
		return "wants a password: set it in the URL, or as Password"
	case has("WRONGPASS", "ERR AUTH", "invalid password"):
		return "refuses the user or the password: correct the URL, or Password"
	case has("NOPERM"):
		return "forbids it to this user: " + c.grant(err)
	case has("WRONGTYPE"):
		return "holds something else under the name of a topic: choose another name for the cluster, or another database"
	case has("OOM "):
		return "is out of memory: raise its maxmemory, or lower MaxLen"
	case has("READONLY") && c.Mode == Standalone:
		return "is a replica: point the URL to the primary"
	case has("READONLY"):
		return "has another primary by now"
	case has("MISCONF"):
		return "cannot save to its disk and accepts no writes: free the disk, or turn off saving"
	case has("LOADING"):
		return "is still starting"
	case has("NOREPLICAS"):
		return "has too few replicas to accept writes"
	case has("CLUSTERDOWN"):
		return "has lost a primary that no replica stands in for yet"
	case has("MOVED ") && c.Mode == Standalone:
		return "is a node of a Redis Cluster: set Mode to " + string(Cluster)
	case has("cluster support disabled"):
		return "is no Redis Cluster: set Mode to " + string(Standalone)
	case has("unknown command 'x", "unknown command 'X", "unknown command `x", "unknown command `X"):
		return "does not know streams: it is a Sentinel (set Mode to " + string(Sentinel) + "), or older than Redis 5"
	case errors.Is(err, syscall.ECONNREFUSED) && c.Mode == Sentinel:
		return "does not accept connections, and no replica stands in for it yet"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "does not accept connections: start Redis there, or correct the URL"
	case errors.As(err, &dns):
		return "has a host name that cannot be resolved: correct the URL"
	case errors.As(err, &record):
		return "does not speak TLS: use redis:// instead of rediss://"
	case errors.As(err, &authority), errors.As(err, &host):
		return "has a TLS certificate that is not trusted: use one that is issued for the host in the URL, or name its authority by TLS"
	case errors.As(err, &alert), has("remote error: tls:"):
		return "refuses the TLS connection: it may want a certificate of the client"
	case slow(err):
		return "does not answer in time"
	}
	return ""
}

// sentinels is what is wrong with the Sentinels rather than with Redis, or "".
func sentinels(err error) string {
	has := contains(err)
	switch {
	case !has("all sentinels"):
		return ""
	case errors.Is(err, redis.Nil):
		return "does not know a primary of that name: correct Master"
	case has("NOAUTH"):
		return "wants a password: set SentinelPassword"
	case has("WRONGPASS", "ERR AUTH", "invalid password"):
		return "refuses the user or the password: correct SentinelUser and SentinelPassword"
	case has("NOPERM"):
		return "forbids it to this user: grant +sentinel|get-master-addr-by-name +sentinel|sentinels +subscribe +ping &* to SentinelUser"
	case has("unknown command"):
		return "is no Sentinel: correct the URL, or set Mode to " + string(Standalone)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "does not accept connections: start one there, or correct the URL"
	}
	return "does not answer"
}

var forbidden = regexp.MustCompile(`NOPERM .*run the '([^' ]+)'`)

// missing is the command that err says a user may not run, or "".
func missing(err error) string {
	if m := forbidden.FindStringSubmatch(err.Error()); m != nil {
		return m[1]
	}
	return ""
}

// grant names the right that is missing, and what else is needed.
func (c *Config) grant(err error) string {
	all := "all it needs is +ping +xadd +xread +xinfo|stream +expire"
	if c.Mode == Cluster {
		all += " +cluster|slots"
	}
	all += " on the keys that begin with the name of the cluster"
	if command := missing(err); command != "" {
		return "grant +" + command + " (" + all + ")"
	}
	if strings.Contains(err.Error(), "keys") {
		return "grant ~NAME.* for the NAME of the cluster (" + all + ")"
	}
	return all
}

func contains(err error) func(parts ...string) bool {
	text := err.Error()
	return func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
}

func slow(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && timeout.Timeout()
}
