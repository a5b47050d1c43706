package auth

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/carillonhq/carillon/cmd/carillon/internal/sign"
)

// A WebhookConfig says how to ask a back end who a client is.
type WebhookConfig struct {
	URL    string
	Secret string // that calls are signed with; see the package sign

	// Headers are those of a client's first request that the back end is shown.
	Headers []string

	Timeout     time.Duration // bounds the wait for a call and the call
	Concurrency int           // calls at a time; others wait

	// Failures is after how many calls in a row that got no usable answer the
	// back end counts as down: for Pause nobody calls it, and then one does.
	Failures int
	Pause    time.Duration

	// Anonymous lets clients in as nobody in particular while the back end has
	// no usable answer. They have the default permissions.
	Anonymous bool
}

// webhook believes a back end.
type webhook struct {
	cfg     WebhookConfig
	opts    Options
	client  *http.Client
	slots   chan struct{}
	breaker *gobreaker.CircuitBreaker[*answer]
}

func newWebhook(cfg WebhookConfig, opts Options) (*webhook, error) {
	if cfg.Secret == "" {
		return nil, errors.New("auth.webhook.secret: expected one")
	}
	transport := opts.Transport
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = cfg.Concurrency
		transport = t
	}
	w := &webhook{
		cfg:   cfg,
		opts:  opts,
		slots: make(chan struct{}, cfg.Concurrency),
		client: &http.Client{
			Transport: transport,
			// A back end that moved would get the client's secrets elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	w.breaker = gobreaker.NewCircuitBreaker[*answer](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     cfg.Pause,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= uint32(cfg.Failures) },
		// A client that went away says nothing of the back end.
		IsExcluded: func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			switch to {
			case gobreaker.StateOpen:
				opts.Logger.Error("authentication suspended: the back end does not answer", "url", cfg.URL, "for", cfg.Pause)
			case gobreaker.StateClosed:
				opts.Logger.Info("authentication resumed", "url", cfg.URL)
			}
			if f := opts.Hooks.Open; f != nil {
				f(to != gobreaker.StateClosed)
			}
		},
	})
	return w, nil
}

func (w *webhook) close() { w.client.CloseIdleConnections() }

// question is what the back end is sent.
type question struct {
	Refresh   bool              `json:"refresh"`
	Namespace string            `json:"namespace"`
	Auth      json.RawMessage   `json:"auth"` // null if the client sent none
	Headers   map[string]string `json:"headers"`
	Query     map[string]string `json:"query"`
	Address   string            `json:"address"`
	Node      string            `json:"node"`
}

// answer is what it says.
type answer struct {
	Allow   *bool   `json:"allow"`
	User    string  `json:"user"`
	Expires float64 `json:"expires"` // Unix time in seconds; 0 for never
	Grants

	Code    string `json:"code"` // of a refusal
	Message string `json:"message"`
}

func (w *webhook) identify(ctx context.Context, r Request) (Identity, Grants, error) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	a, err := w.ask(ctx, r)
	switch {
	case err != nil && w.cfg.Anonymous && !r.Refresh && ctx.Err() != context.Canceled:
		return anonymous(), Grants{}, nil
	case err != nil:
		return Identity{}, Grants{}, errorf(Unavailable, err, "cannot find out who you are; try again later")
	case !*a.Allow:
		return Identity{}, Grants{}, a.refusal()
	}
	if err := checkUser("the user", a.User); err != nil {
		return Identity{}, Grants{}, err
	}
	if a.Device != "" {
		if err := checkUser("the device", a.Device); err != nil {
			return Identity{}, Grants{}, err
		}
	}
	id := Identity{User: a.User, Device: a.Device}
	if a.Expires != 0 {
		id.Expires = time.UnixMilli(int64(a.Expires * 1000))
		if !time.Now().Before(id.Expires) {
			return Identity{}, Grants{}, errorf(TokenExpired, nil, "expired")
		}
	}
	return id, a.Grants, nil
}

// maxText bounds what a back end says to clients, in bytes.
const maxText = 1 << 10

func (a *answer) refusal() error {
	e := errorf(Forbidden, nil, "refused")
	if a.Code != "" {
		e.Code = a.Code[:min(len(a.Code), maxText)]
	}
	if a.Message != "" {
		e.Message = a.Message[:min(len(a.Message), maxText)]
	}
	return e
}

// ask calls the back end when there is a place, unless too many calls failed.
func (w *webhook) ask(ctx context.Context, r Request) (*answer, error) {
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%d calls under way: %w", w.cfg.Concurrency, ctx.Err())
	}
	// A place that comes when the time is over is of no use. Without a call the
	// back end has not failed: the breaker must not hear of it.
	if end, ok := ctx.Deadline(); ctx.Err() != nil || ok && !time.Now().Before(end) {
		return nil, fmt.Errorf("no time left for a call: %w", cmp.Or(ctx.Err(), context.DeadlineExceeded))
	}
	return w.breaker.Execute(func() (*answer, error) {
		start := time.Now()
		a, err := w.call(ctx, r)
		if f := w.opts.Hooks.Asked; f != nil {
			f(time.Since(start), err)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			w.opts.Logger.Warn("authentication got no usable answer", "error", err)
		}
		return a, err
	})
}

// maxAnswer bounds the back end's answer, in bytes.
const maxAnswer = 64 << 10

func (w *webhook) call(ctx context.Context, r Request) (*answer, error) {
	body, err := json.Marshal(w.question(r))
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	sign.Sign(req.Header, w.cfg.Secret, time.Now(), body)
	res, err := w.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxAnswer:
		return nil, fmt.Errorf("an answer longer than %d bytes", maxAnswer)
	}
	var a answer
	decodeErr := json.Unmarshal(text, &a)
	switch res.StatusCode {
	case http.StatusOK:
		if decodeErr == nil && a.Allow == nil {
			decodeErr = errors.New("allow is missing")
		}
		if decodeErr != nil {
			return nil, fmt.Errorf("an answer that can't be read: %w", decodeErr)
		}
		return &a, nil
	case http.StatusUnauthorized, http.StatusForbidden: // whatever it says, it is no
		no := false
		if a.Allow = &no; a.Code == "" && res.StatusCode == http.StatusUnauthorized {
			a.Code = Unauthorized
		}
		return &a, nil
	}
	return nil, fmt.Errorf("status %s", res.Status)
}

func (w *webhook) question(r Request) question {
	q := question{
		Refresh: r.Refresh, Namespace: r.Namespace, Auth: r.Auth, Address: r.Address, Node: r.Node,
		Headers: map[string]string{}, Query: map[string]string{},
	}
	if len(q.Auth) == 0 {
		q.Auth = json.RawMessage("null")
	}
	for _, name := range w.cfg.Headers {
		if v := r.Header.Get(name); v != "" {
			q.Headers[http.CanonicalHeaderKey(name)] = v
		}
	}
	for name, values := range r.Query {
		switch name {
		case "EIO", "transport", "sid", "t", "j", "b64": // the protocol's own
		default:
			q.Query[name] = values[0]
		}
	}
	return q
}
