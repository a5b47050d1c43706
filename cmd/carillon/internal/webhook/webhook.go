// Package webhook tells a back end what happens on a node, by HTTP: in batches,
// signed, tried again while they fail, and never in the way of what happens.
//
// A request is a POST of {"events": […]}, with two headers: Carillon-Timestamp,
// in Unix seconds, and Carillon-Signature, which is "v1=" and, in hexadecimal,
// the HMAC-SHA256 by the secret over the timestamp, a dot and the body; see
// the package sign. Any status from 200 to 299 takes the batch. Anything else, and no
// answer in time, has it sent again, in the same order and with the same ids.
//
// So a back end gets each event at least once: it should pass over ids that it
// knows. Events are lost, and counted, only beyond a bound: when more wait than
// the queue holds, when a batch has failed too often, and when the node stops
// and the back end does not answer, or crashes. The events of one node come in
// order, those of several in any.
package webhook

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Options tune a Sender. URL and Secret are required.
type Options struct {
	URL    string
	Secret string
	Node   string // the name that stands in each event

	BatchSize  int           // events of one request. Default: 100.
	BatchDelay time.Duration // that the first of a batch waits for more. Default: none.
	Queue      int           // events that wait; beyond, Send drops. Default: 10000.
	Timeout    time.Duration // bounds each request. Default: 5s.
	Retries    int           // of a request that failed, before its events are dropped. Default: none.

	// Settled is told of events that were taken, or dropped because Retries were
	// used up. What is dropped by Close may be sent by another node: it is not
	// among them. It must not block. Default: nil, for nobody.
	Settled func([]Event)

	Client *http.Client // Default: one that follows no redirections.
	Logger *slog.Logger // hears of outages. Default: slog.Default().
	Hooks  Hooks        // observe; a nil field is skipped.
}

// Hooks are called on the goroutine that does the work and must not block.
type Hooks struct {
	Delivered func(events int)                // a request was taken
	Failed    func(err error)                 // a request was not, and will be tried again unless Dropped follows
	Dropped   func(why DropReason, count int) // events that no one will hear of
}

// A DropReason says why events were dropped.
type DropReason string

// The reasons.
const (
	DropFull    DropReason = "queue_full"
	DropRetries DropReason = "retries"
	DropClosed  DropReason = "closed"
)

// An Event is something that happened.
type Event struct {
	ID   string    `json:"id"` // the same each time that it is sent
	Type string    `json:"type"`
	Time time.Time `json:"time"`
	Node string    `json:"node"`

	User      string            `json:"user,omitempty"`
	Socket    string            `json:"socket,omitempty"`
	Namespace string            `json:"namespace,omitempty"` // of the socket
	Reason    string            `json:"reason,omitempty"`    // of socket.disconnected
	Event     string            `json:"event,omitempty"`     // of client.event: its name,
	Args      []json.RawMessage `json:"args,omitempty"`      // and its arguments
}

// A Sender sends events to one back end. All methods may be called concurrently.
type Sender struct {
	opts   Options
	log    *slog.Logger
	kick   chan struct{} // there is something to send
	closed chan struct{} // Close was called
	ended  chan struct{} // run has returned
	abort  context.CancelFunc

	mu    sync.Mutex // guards what follows
	queue []Event    // those that are being sent among them, at the front
	stop  bool
}

// New returns a Sender, which sends until Close.
func New(opts Options) *Sender {
	if opts.BatchSize <= 0 {
		opts.BatchSize = 100
	}
	if opts.Queue <= 0 {
		opts.Queue = 10_000
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 5 * time.Second
	}
	if opts.Client == nil {
		// A redirection would make a GET of the request, or carry it elsewhere.
		opts.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	ctx, abort := context.WithCancel(context.Background())
	s := &Sender{
		opts:   opts,
		log:    opts.Logger.With("component", "webhook"),
		kick:   make(chan struct{}, 1),
		closed: make(chan struct{}),
		ended:  make(chan struct{}),
		abort:  abort,
	}
	go func() { // ends in Close
		defer close(s.ended)
		s.run(ctx)
	}()
	return s
}

// Send queues an event, with an ID, the time and the node's name. It never
// waits: it reports false, and drops the event, if the queue is full or the
// Sender closed.
func (s *Sender) Send(e Event) bool {
	e.ID, e.Time, e.Node = rand.Text(), time.Now().UTC(), s.opts.Node
	s.mu.Lock()
	why := DropReason("")
	switch {
	case s.stop:
		why = DropClosed
	case len(s.queue) >= s.opts.Queue:
		why = DropFull
	default:
		s.queue = append(s.queue, e)
	}
	s.mu.Unlock()
	if why != "" {
		s.dropped(why, 1)
		return false
	}
	select {
	case s.kick <- struct{}{}:
	default: // it knows already
	}
	return true
}

// Queued returns how many events wait.
func (s *Sender) Queued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}

// Close sends what waits, without further retries, until ctx is done, and drops
// the rest.
func (s *Sender) Close(ctx context.Context) error {
	s.mu.Lock()
	first := !s.stop
	s.stop = true
	s.mu.Unlock()
	if first {
		close(s.closed)
	}
	select {
	case <-s.ended:
	case <-ctx.Done():
		s.abort()
		<-s.ended
	}
	s.abort()
	s.mu.Lock()
	left := len(s.queue)
	s.queue = nil
	s.mu.Unlock()
	if left > 0 {
		s.dropped(DropClosed, left)
		return errors.New("webhook: closed with " + strconv.Itoa(left) + " events that were not taken")
	}
	return nil
}

func (s *Sender) dropped(why DropReason, count int) {
	if s.opts.Hooks.Dropped != nil {
		s.opts.Hooks.Dropped(why, count)
	}
}

func (s *Sender) settled(batch []Event) {
	if s.opts.Settled != nil {
		s.opts.Settled(batch)
	}
}
