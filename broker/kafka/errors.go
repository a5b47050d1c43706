package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/IBM/sarama"

	"github.com/carillonhq/carillon/broker"
)

// explain wraps err with a sentence that says what to change. right is what
// Kafka has to permit for what was tried.
func explain(cfg Config, right string, err error) error {
	if err == nil || errors.Is(err, broker.ErrClosed) {
		return err
	}
	var (
		dns       *net.DNSError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		timeout   net.Error
	)
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	grant := "grant " + right + " on the topic " + cfg.Topic + ", or use another user"
	why := ""
	switch {
	case is(errCreate) && is(sarama.ErrTopicAuthorizationFailed, sarama.ErrClusterAuthorizationFailed):
		why = "forbids this user to create the topic: grant Create on the topic " + cfg.Topic + " or on the cluster, or create it yourself"
	case is(errCreate) && is(sarama.ErrInvalidReplicationFactor):
		why = "has too few brokers for the replicas of the topic: lower Replication"
	case is(errCreate) && is(sarama.ErrPolicyViolation):
		why = "has a policy against the topic as it would be created: create it yourself"
	case is(sarama.ErrInvalidTopic):
		why = "refuses the name of the topic: use letters, digits, \".\", \"_\" and \"-\", at most 249"
	case is(sarama.ErrTopicAuthorizationFailed):
		why = "forbids it to this user: " + grant
	case is(sarama.ErrClusterAuthorizationFailed):
		why = "forbids it to this user, on the whole cluster: " + grant
	case is(sarama.ErrSASLAuthenticationFailed):
		why = "refuses the user or the password: correct SASL.User and SASL.Password"
	case is(sarama.ErrUnknownTopicOrPartition):
		why = "does not have the topic " + cfg.Topic + " any more"
	case is(sarama.ErrNotEnoughReplicas, sarama.ErrNotEnoughReplicasAfterAppend):
		why = "has too few replicas of the topic to accept writes: start the missing brokers, or lower min.insync.replicas"
	case is(sarama.ErrLeaderNotAvailable, sarama.ErrNotLeaderForPartition):
		why = "is choosing another leader for a partition"
	case is(syscall.ECONNREFUSED):
		why = "does not accept connections: start Kafka there, or correct Brokers"
	case errors.As(err, &dns):
		why = "has a host name that cannot be resolved: correct Brokers, or advertised.listeners of Kafka"
	case errors.As(err, &record):
		why = "does not speak TLS there: use the port that does, or turn TLS off"
	case errors.As(err, &authority), errors.As(err, &host):
		why = "has a TLS certificate that is not trusted: give the authority that issued it, for the host in Brokers"
	case errors.As(err, &alert):
		why = "refuses the TLS connection: it may want a certificate of the client"
	case is(context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		why = "does not answer in time"
	case is(io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE):
		why = "closed the connection: it stopped, or wants TLS or a login (SASL) there"
	case is(sarama.ErrOutOfBrokers) && cfg.SASL.User != "": // sarama keeps the cause to itself
		why = "does not accept this login there: use the port that wants one, or correct SASL.Mechanism"
	default:
		return fmt.Errorf("kafka: %s: %w", strings.Join(cfg.Brokers, ","), err)
	}
	return fmt.Errorf("kafka: %s %s: %w", strings.Join(cfg.Brokers, ","), why, err)
}
