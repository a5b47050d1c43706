package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/sign"
	"github.com/carillonhq/carillon/cmd/carillon/internal/webhook"
)

const secret = "a-secret-for-tests"

// A backend takes requests in place of a network.
type backend struct {
	t      *testing.T
	status func(n int) int // of request n, from 1; 0: no answer

	mu      sync.Mutex // guards what follows
	n       int
	at      []time.Time
	batches [][]webhook.Event
}

func (b *backend) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if err := sign.Verify(r.Header, secret, time.Now(), time.Minute, body); err != nil {
		b.t.Error(err)
	}
	var batch struct{ Events []webhook.Event }
	if err := json.Unmarshal(body, &batch); err != nil {
		b.t.Errorf("%s: %v", body, err)
	}
	b.mu.Lock()
	b.n++
	b.at = append(b.at, time.Now())
	b.batches = append(b.batches, batch.Events)
	status := 200
	if b.status != nil {
		status = b.status(b.n)
	}
	b.mu.Unlock()
	if status == 0 {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: status, Body: http.NoBody, Header: http.Header{}}, nil
}

func (b *backend) requests() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}

// counts are what hooks were told.
type counts struct {
	mu                sync.Mutex // guards what follows
	delivered, failed int
	dropped           map[webhook.DropReason]int
}

func (c *counts) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%d delivered, %d failed, dropped %v", c.delivered, c.failed, c.dropped)
}

func open(b *backend, opts webhook.Options) (*webhook.Sender, *counts) {
	c := &counts{dropped: map[webhook.DropReason]int{}}
	count := func(f func()) { c.mu.Lock(); defer c.mu.Unlock(); f() }
	opts.URL, opts.Secret, opts.Node = "https://user:hunter2@example.com/hook", secret, "one"
	opts.Client = &http.Client{Transport: b}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	opts.Hooks = webhook.Hooks{
		Delivered: func(n int) { count(func() { c.delivered += n }) },
		Failed:    func(error) { count(func() { c.failed++ }) },
		Dropped:   func(why webhook.DropReason, n int) { count(func() { c.dropped[why] += n }) },
	}
	return webhook.New(opts), c
}

func users(batches [][]webhook.Event) string {
	var s []string
	for _, b := range batches {
		var names []string
		for _, e := range b {
			names = append(names, e.User)
		}
		s = append(s, strings.Join(names, ","))
	}
	return strings.Join(s, " ")
}

func send(s *webhook.Sender, users ...string) {
	for _, u := range users {
		s.Send(webhook.Event{Type: "user.online", User: u})
	}
}

// Events wait a little for each other, and go in batches and in order.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{t: t}
		s, c := open(b, webhook.Options{BatchSize: 3, BatchDelay: 100 * time.Millisecond})
		start := time.Now()
		send(s, "a")
		time.Sleep(50 * time.Millisecond)
		send(s, "b")
		synctest.Wait()
		if b.requests() != 0 {
			t.Error("the first did not wait")
		}
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		send(s, "c", "d", "e", "f", "g")
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := users(b.batches); got != "a,b c,d,e f,g" {
			t.Errorf("got %s", got)
		}
		if got := b.at[0].Sub(start); got != 100*time.Millisecond {
			t.Errorf("the first batch went after %v", got)
		}
		e := b.batches[0][0]
		if e.ID == "" || e.ID == b.batches[0][1].ID || e.Node != "one" || e.Type != "user.online" || !e.Time.Equal(start) {
			t.Errorf("got %+v", e)
		}
		if got := c.String(); got != "7 delivered, 0 failed, dropped map[]" {
			t.Error(got)
		}
		if s.Send(webhook.Event{}) {
			t.Error("it takes events though it was closed")
		}
	})
}

// What fails is sent again, the same, with waits that grow and are jittered;
// what comes meanwhile waits its turn.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		statuses := []int{500, 302, 404, 0, 204, 200}
		b := &backend{t: t, status: func(n int) int { return statuses[n-1] }}
		s, c := open(b, webhook.Options{Retries: 10, Timeout: 5 * time.Second})
		send(s, "a")
		synctest.Wait()
		send(s, "b")
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := users(b.batches); got != "a a a a a b" {
			t.Fatalf("got %s", got)
		}
		if b.batches[0][0].ID != b.batches[4][0].ID {
			t.Error("the id is not the same each time")
		}
		for i, want := range []time.Duration{500, 1000, 2000, 4000} {
			want *= time.Millisecond
			got := b.at[i+1].Sub(b.at[i])
			if i == 3 {
				got -= 5 * time.Second // the timeout
			}
			if got < want/2 || got > want*3/2 {
				t.Errorf("retry %d came after %v, want about %v", i+1, got, want)
			}
		}
		if got := c.String(); got != "2 delivered, 4 failed, dropped map[]" {
			t.Error(got)
		}
		s.Close(t.Context())
	})
}

// A back end that is away costs no more than the bounds: of the queue and of
// the tries.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{t: t, status: func(int) int { return 503 }}
		s, c := open(b, webhook.Options{Queue: 3, BatchSize: 2, Retries: 2})
		start := time.Now()
		send(s, "a", "b", "c", "d", "e")
		if time.Since(start) > 0 {
			t.Error("Send waited")
		}
		if s.Queued() != 3 {
			t.Errorf("%d wait, want 3", s.Queued())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := c.String(); got != "0 delivered, 6 failed, dropped map[queue_full:2 retries:3]" {
			t.Error(got)
		}
		s.Close(t.Context())
	})
}

// Close tries once what waits, and does not wait for a back end that hangs.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{t: t, status: func(int) int { return 0 }}
		s, c := open(b, webhook.Options{Retries: 10, Timeout: time.Hour})
		send(s, "a", "b")
		synctest.Wait()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := s.Close(ctx); err == nil {
			t.Error("it tells of nothing that was lost")
		}
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("closed after %v", got)
		}
		if got := c.String(); got != "0 delivered, 1 failed, dropped map[closed:2]" {
			t.Error(got)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("a second time: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // while it waits for a retry
		b := &backend{t: t, status: func(n int) int { return map[bool]int{true: 500, false: 200}[n == 1] }}
		s, c := open(b, webhook.Options{Retries: 10})
		send(s, "a")
		synctest.Wait()
		start := time.Now()
		if err := s.Close(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("closed after %v: %v", time.Since(start), err)
		}
		if got := c.String(); got != "1 delivered, 1 failed, dropped map[]" {
			t.Error(got)
		}
	})
}

// The URL may hold a password: it is in no log.
func TestSecretive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s, _ := open(&backend{t: t, status: func(int) int { return 0 }},
			webhook.Options{Timeout: time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		send(s, "a")
		time.Sleep(time.Minute)
		s.Close(t.Context())
		if got := log.String(); got == "" || strings.Contains(got, "hunter2") || strings.Contains(got, secret) {
			t.Errorf("logged: %s", got)
		}
	})
}

// Whoever waits for what becomes of an event is told, but of what Close drops:
// another node may send it.
func TestSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{t: t, status: func(n int) int { // the second batch fails for good, the third is never answered
			return map[int]int{1: 200, 2: 500, 3: 500}[n]
		}}
		var settled [][]webhook.Event
		s, _ := open(b, webhook.Options{BatchSize: 2, Retries: 1, Settled: func(events []webhook.Event) { settled = append(settled, events) }})
		send(s, "a", "b", "c", "d", "e")
		time.Sleep(3 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Close(ctx); err == nil {
			t.Error("nothing was dropped")
		}
		if got := users(settled); got != "a,b c,d" {
			t.Errorf("settled are %s", got)
		}
	})
}
