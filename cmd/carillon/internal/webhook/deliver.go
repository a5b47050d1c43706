package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/sign"
)

const (
	firstWait = 500 * time.Millisecond // before the first retry; it doubles with each
	longWait  = 30 * time.Second       // but never beyond this
)

// run sends one batch after the other: so the order is kept.
func (s *Sender) run(ctx context.Context) {
	for {
		if s.Queued() == 0 {
			select {
			case <-s.kick:
			case <-s.closed:
				if s.Queued() == 0 {
					return
				}
			}
			continue
		}
		if !s.isClosed() && s.Queued() < s.opts.BatchSize {
			s.sleep(s.opts.BatchDelay)
		}
		batch := s.batch()
		if !s.deliver(ctx, batch) {
			return // what is left is dropped by Close
		}
		s.mu.Lock()
		s.queue = slices.Delete(s.queue, 0, len(batch))
		if len(s.queue) == 0 {
			s.queue = nil // an idle Sender keeps no memory
		}
		s.mu.Unlock()
	}
}

func (s *Sender) batch() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.queue[:min(len(s.queue), s.opts.BatchSize)])
}

// deliver sends a batch until it is taken or given up. It reports false if the
// Sender was closed first.
func (s *Sender) deliver(ctx context.Context, batch []Event) bool {
	body, err := json.Marshal(map[string][]Event{"events": batch})
	if err != nil {
		// Arguments of a client were checked to be JSON: it cannot happen.
		s.log.Error("events cannot be encoded", "err", err)
		s.dropped(DropRetries, len(batch))
		s.settled(batch)
		return true
	}
	for try := 0; ; try++ {
		err := s.post(ctx, body)
		if err == nil {
			if try > 0 {
				s.log.Info("the back end takes events again", "tries", try+1)
			}
			if s.opts.Hooks.Delivered != nil {
				s.opts.Hooks.Delivered(len(batch))
			}
			s.settled(batch)
			return true
		}
		if s.opts.Hooks.Failed != nil {
			s.opts.Hooks.Failed(err)
		}
		if s.isClosed() {
			return false
		}
		if try == 0 {
			s.log.Warn("the back end takes no events", "err", err)
		}
		if try >= s.opts.Retries {
			s.log.Error("events dropped", "count", len(batch), "tries", try+1, "err", err)
			s.dropped(DropRetries, len(batch))
			s.settled(batch)
			return true
		}
		s.sleep(backoff(try))
	}
}

// backoff is the wait after a try, counted from 0, jittered by half of it so
// that nodes do not come together.
func backoff(try int) time.Duration {
	wait := min(firstWait<<min(try, 10), longWait)
	return wait/2 + rand.N(wait)
}

// sleep waits, but not beyond Close.
func (s *Sender) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.closed:
	}
}

func (s *Sender) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// post sends a body once. The errors of a client hold the URL, and it may hold
// a password: they are not passed on.
func (s *Sender) post(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.opts.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("webhook: the URL cannot be used")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Carillon")
	sign.Sign(r.Header, s.opts.Secret, time.Now(), body)
	answer, err := s.opts.Client.Do(r)
	if err != nil {
		return fmt.Errorf("webhook: %w", withoutURL(err))
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10) // so that the connection can be used again
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("webhook: answered with status %d", answer.StatusCode)
	}
	return nil
}

func withoutURL(err error) error {
	if of, ok := errors.AsType[*url.Error](err); ok {
		return of.Err
	}
	return err
}
