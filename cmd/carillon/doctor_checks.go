package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/carillonhq/carillon/broker"
)

// patience bounds each check: a broker that takes longer serves nobody.
const patience = 10 * time.Second

// listening tries the address of the server for a moment.
func listening(ctx context.Context, addr string) broker.Finding {
	f := broker.Finding{Check: "listen", Text: "server.listen: " + addr + " is free"}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		l.Close()
	case errors.Is(err, syscall.EADDRINUSE):
		f.Verdict = broker.Doubtful
		f.Text = "server.listen: " + addr + " is in use, as it should be while the server runs"
		f.Advice = "if it does not, stop what listens there, or choose another port"
	default:
		f.Verdict = broker.Failed
		f.Text = "server.listen: " + err.Error()
		f.Advice = "choose an address of this machine, and a port that this user may open"
	}
	return f
}

// connect opens the driver as the server does; nil if that is not possible.
func connect(ctx context.Context, open openDriver, cfg Broker, said *notes) (broker.Driver, broker.Finding) {
	f := broker.Finding{Check: "connection"}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begin := time.Now()
	d, err := open(ctx)
	if err != nil {
		f.Verdict, f.Text = broker.Failed, err.Error()
		return nil, f
	}
	f.Text = fmt.Sprintf("%s lets us in, after %v", cfg.where(), rounded(time.Since(begin)))
	if cfg.Driver == "memory" {
		f.Text = "memory joins nobody: with more than one instance, choose redis, rabbitmq or kafka"
	}
	for _, text := range said.texts() {
		f.Text += "; it " + text
	}
	return d, f
}

// where is the broker and its address, without passwords.
func (b Broker) where() string {
	var addr string
	switch b.Driver {
	case "redis":
		addr = hostOf(b.Redis.URL)
	case "rabbitmq":
		addr = hostOf(b.RabbitMQ.URL)
	case "kafka":
		addr = strings.Join(b.Kafka.Brokers, ", ")
	}
	if addr == "" {
		return b.Driver
	}
	return b.Driver + " at " + addr
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Host
}

// aside returns the name of a cluster that nobody else is in, and that a user
// with rights on cluster alone may use.
func aside(cluster string) (string, error) {
	name := cluster + ".doctor-" + strings.ToLower(rand.Text()[:6])
	if len(name) > maxClusterName {
		return "", fmt.Errorf("not tried: broker.cluster has %d characters, and with more than %d there is no room for the name of a temporary one",
			len(cluster), maxClusterName-len(name)+len(cluster))
	}
	return name, nil
}

// largest is the most that a node publishes at a time, in bytes.
const largest = 256 << 10

// delivery publishes as much as a node may at a time, and waits to hear it.
func delivery(ctx context.Context, d broker.Driver, cluster string) broker.Finding {
	f := broker.Finding{Check: "delivery"}
	cluster, err := aside(cluster)
	if err != nil {
		f.Verdict, f.Text = broker.Unknown, err.Error()
		return f
	}
	size := largest
	if l, ok := d.(broker.Limited); ok && l.Limits().MaxMessage > 0 {
		size = min(size, l.Limits().MaxMessage)
	}
	data := make([]byte, size)
	rand.Read(data) // never fails

	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	heard := make(chan []byte, 16) // what else could there be on this topic
	sub, err := d.Subscribe(ctx, cluster+".all", func(data []byte) { heard <- data })
	if err == nil {
		defer sub.Close()
		err = d.Publish(ctx, cluster+".all", data)
	}
	if err != nil {
		f.Verdict, f.Text = broker.Failed, err.Error()
		return f
	}
	select {
	case got := <-heard:
		f.Text = fmt.Sprintf("the largest message, of %d KiB, arrives", size>>10)
		if !bytes.Equal(got, data) {
			f.Verdict, f.Text = broker.Failed, "what arrives is not what was published"
			f.Advice = "look what is between this machine and the broker"
		}
	case <-ctx.Done():
		f.Verdict = broker.Failed
		f.Text = fmt.Sprintf("the broker accepted a message of %d KiB, and did not hand it on within %v", size>>10, patience)
		f.Advice = "look into the log of the broker, and for policies that limit queues"
	}
	return f
}

// others listens for the nodes of the real cluster. It says nothing there, so
// nobody takes it for a node.
func (c checkup) others(ctx context.Context, d broker.Driver) broker.Finding {
	f := broker.Finding{Check: "nodes"}
	stay := min(5*c.cfg.Broker.Heartbeat/2, patience/2)
	heard, err := broker.Overhear(ctx, d, c.cfg.Broker.Cluster, stay)
	if err != nil {
		f.Verdict, f.Text = broker.Unknown, "not heard: "+err.Error()
		return f
	}
	for _, id := range heard.Nodes {
		c.Nodes = append(c.Nodes, id.Short())
	}
	f.Text = fmt.Sprintf("the cluster %s is empty: nobody spoke for %v", c.cfg.Broker.Cluster, stay)
	if n := len(c.Nodes); n > 0 {
		f.Text = fmt.Sprintf("the cluster %s has %s: %s", c.cfg.Broker.Cluster, counted(n, "node"), strings.Join(c.Nodes, ", "))
	}
	switch {
	case heard.Later:
		f.Verdict = broker.Doubtful
		f.Text += "; others speak a later version of the protocol, and are not understood"
		f.Advice = "bring all instances to one version of carillon"
	case heard.Noise > 0:
		f.Verdict = broker.Doubtful
		f.Text += fmt.Sprintf("; %s came from something else", counted(heard.Noise, "message"))
		f.Advice = "keep the names that begin with that of the cluster for carillon alone"
	}
	return f
}

// notes keeps what a driver logs while it is opened: what it changed.
type notes struct {
	slog.Handler // nil: With and WithGroup are not used by drivers
	mu           sync.Mutex
	said         []string
}

func (n *notes) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (n *notes) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.Value.String()
		return true
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	n.said = append(n.said, text)
	return nil
}

func (n *notes) WithAttrs([]slog.Attr) slog.Handler { return n }
func (n *notes) WithGroup(string) slog.Handler      { return n }

func (n *notes) texts() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.said
}

// rounded leaves of a time what a person wants to know.
func rounded(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > 10*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
