package main

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// Webhooks tell a back end what happens here, by HTTP. Without a URL they are
// off. They have to be the same on all nodes.
type Webhooks struct {
	// URL is http:// or https://, and gets POST requests. Default: empty, for
	// none.
	URL string `koanf:"url" secret:"true"`

	// Secret signs them (HMAC-SHA256). Required with URL, 16 characters or more.
	// Default: empty.
	Secret string `koanf:"secret" secret:"true"`

	// Events are what is told: "user.online", "user.offline",
	// "socket.connected", "socket.disconnected". Default: the first two.
	Events []string `koanf:"events"`

	// ClientEvents are the names of clients' events that are told, as
	// "client.event". Default: none.
	ClientEvents []string `koanf:"client_events"`

	// BatchSize is how many events one request has at most, and BatchDelay how
	// long the first of them waits for more. Defaults: 100, 100ms.
	BatchSize  int           `koanf:"batch_size"`
	BatchDelay time.Duration `koanf:"batch_delay"`

	// Queue is how many events wait in this node at most; beyond, they are
	// dropped and counted. Default: 10000.
	Queue int `koanf:"queue"`

	// Timeout bounds each request. Default: 5s.
	Timeout time.Duration `koanf:"timeout"`

	// Retries is how often a request that failed is tried again, after waits
	// that double from 500ms to 30s; then its events are dropped and counted.
	// Default: 10.
	Retries int `koanf:"retries"`
}

func defaultWebhooks() Webhooks {
	return Webhooks{
		Events:     []string{"user.online", "user.offline"},
		BatchSize:  100,
		BatchDelay: 100 * time.Millisecond,
		Queue:      10_000,
		Timeout:    5 * time.Second,
		Retries:    10,
	}
}

// webhookEvents are those that can be told.
var webhookEvents = []string{"user.online", "user.offline", "socket.connected", "socket.disconnected"}

// reservedEvents are those that Socket.IO keeps for itself.
var reservedEvents = []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}

// checkWebhooks looks at w, where presence is in that mode.
func (l *loader) checkWebhooks(w Webhooks, presence string) {
	u, err := url.Parse(w.URL)
	l.unless(w.URL == "" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", "webhooks.url",
		"expected http://… or https://… (what was given may hold a password and is not shown)")
	l.unless(w.Secret == "" || len(w.Secret) >= minKey, "webhooks.secret",
		"expected %d characters or more (what was given is not shown)", minKey)
	if w.URL != "" && w.Secret == "" {
		l.clash("webhooks.url", "…", "needs", "is needed by", "webhooks.secret", "")
	}
	for _, e := range w.Events {
		if w.URL != "" && presence == "off" && strings.HasPrefix(e, "user.") && !l.refused["webhooks.events"] {
			l.clash("webhooks.events", w.Events, "cannot go with", "cannot go with", "presence.mode", presence)
			break
		}
		l.unless(slices.Contains(webhookEvents, e), "webhooks.events", "expected some of %v, got %q", webhookEvents, e)
	}
	for _, e := range w.ClientEvents {
		l.unless(checkName("", e) == nil && !slices.Contains(reservedEvents, e), "webhooks.client_events",
			"expected names of events that clients can send, got %q", e)
	}
	l.unless(w.BatchSize >= 1, "webhooks.batch_size", "expected 1 or more, got %d", w.BatchSize)
	l.lasting("webhooks.batch_delay", w.BatchDelay, 0)
	l.unless(w.Queue >= w.BatchSize, "webhooks.queue", "expected at least webhooks.batch_size (%d), got %d", w.BatchSize, w.Queue)
	l.lasting("webhooks.timeout", w.Timeout, time.Millisecond)
	l.unless(w.Retries >= 0, "webhooks.retries", "expected 0 or more, got %d", w.Retries)
}
