package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// explain wraps err with a sentence that says what to change.
func explain(addr string, err error) error {
	if err == nil {
		return nil
	}
	var (
		dns       *net.DNSError
		record    tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		timeout   net.Error
	)
	text := err.Error()
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
	why := ""
	switch {
	case has("NOAUTH"):
		why = "wants a password: set it in the URL, or as Password"
	case has("WRONGPASS", "ERR AUTH", "invalid password"):
		why = "refuses the user or the password: correct the URL, or Password"
	case has("NOPERM"):
		why = "forbids it to this user: grant +ping +xadd +xread +xinfo|stream +expire on the keys of the cluster, or use another user"
	case has("WRONGTYPE"):
		why = "holds something else under the name of a topic: choose another name for the cluster, or another database"
	case has("OOM "):
		why = "is out of memory: raise its maxmemory, or lower MaxLen"
	case has("READONLY"):
		why = "is a replica: point the URL to the primary"
	case has("MISCONF"):
		why = "cannot save to its disk and accepts no writes: free the disk, or turn off saving"
	case has("LOADING"):
		why = "is still starting"
	case has("NOREPLICAS"):
		why = "has too few replicas to accept writes"
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "does not accept connections: start Redis there, or correct the URL"
	case errors.As(err, &dns):
		why = "has a host name that cannot be resolved: correct the URL"
	case errors.As(err, &record):
		why = "does not speak TLS: use redis:// instead of rediss://"
	case errors.As(err, &authority), errors.As(err, &host):
		why = "has a TLS certificate that is not trusted: use one that is issued for the host in the URL"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		why = "does not answer in time"
	default:
		return fmt.Errorf("redis: %s: %w", addr, err)
	}
	return fmt.Errorf("redis: %s %s: %w", addr, why, err)
}
