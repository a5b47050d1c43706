// Package auth finds out who a client is and what it may do: from what it says
// of itself, from a token that somebody signed, or by asking a back end.
package auth

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// The ways to find out who a client is.
const (
	None    = "none"    // anyone can be anyone
	JWT     = "jwt"     // a JSON Web Token (RFC 7519) says it
	Webhook = "webhook" // a back end is asked
)

// A Config says how clients are authenticated and what they may do.
type Config struct {
	Mode        string // None, JWT or Webhook
	JWT         JWTConfig
	Webhook     WebhookConfig
	Permissions Permissions // of whom nothing else is said
}

// Options tune an Authenticator.
type Options struct {
	Logger *slog.Logger // receives what no caller can be told. Default: slog.Default().
	Hooks  Hooks        // observe; a nil field is skipped

	// Transport makes the calls to a JWKS URL and to a back end. Default: one
	// like http.DefaultTransport.
	Transport http.RoundTripper
}

// Hooks are called on the goroutine that does the work and must not block.
type Hooks struct {
	Accepted func()            // a client was authenticated, or its refresh was
	Refused  func(code string) // it was not, with this code of an Error

	// Asked tells of each call to the webhook's back end: how long it took, and
	// the error if there was no usable answer. Open tells whether calls are
	// suspended because too many failed.
	Asked func(took time.Duration, err error)
	Open  func(open bool)

	// KeysLoaded tells of each fetch of the JWKS URL.
	KeysLoaded func(err error)
}

// A Request is what a client shows.
type Request struct {
	Namespace string          // that it wants to enter
	Auth      json.RawMessage // what it sent to the namespace as auth; empty for nothing
	Header    http.Header     // of its first request
	Query     url.Values      // of its first request
	Address   string          // the client's IP address
	Node      string          // that the client is connected to
	Refresh   bool            // it is connected already, and shows a newer token
}

// An Authenticator tells who clients are. Its methods may be called
// concurrently.
type Authenticator struct {
	opts  Options
	state atomic.Pointer[state]
}

// A state is a configuration at work.
type state struct {
	method      method
	permissions Permissions
}

// A method is one of the ways.
type method interface {
	// identify returns who the client is, and what was granted to it.
	identify(ctx context.Context, r Request) (Identity, Grants, error)
	close()
}

// Open returns an Authenticator. It reads key files, and fetches the keys of a
// JWKS URL: that these cannot be had is logged and tried again, as the URL may
// come later than this node. Other errors name the setting that is wrong.
func Open(cfg Config, opts Options) (*Authenticator, error) {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	a := &Authenticator{opts: opts}
	s, err := a.open(cfg)
	if err != nil {
		return nil, err
	}
	a.state.Store(s)
	return a, nil
}

func (a *Authenticator) open(cfg Config) (*state, error) {
	var m method
	var err error
	switch cfg.Mode {
	case JWT:
		m, err = newTokens(cfg.JWT, a.opts)
	case Webhook:
		m, err = newWebhook(cfg.Webhook, a.opts)
	default:
		m = anyone{}
	}
	if err != nil {
		return nil, err
	}
	return &state{m, cfg.Permissions}, nil
}

// Reload changes to another configuration, keys and files read anew, or leaves
// all as it was and returns what is wrong. Clients that are connected keep what
// they were granted until they show a newer token.
func (a *Authenticator) Reload(cfg Config) error {
	s, err := a.open(cfg)
	if err != nil {
		return err
	}
	a.state.Swap(s).method.close()
	return nil
}

// Close ends what runs in the background. Clients are authenticated no more.
func (a *Authenticator) Close() { a.state.Load().method.close() }

// Authenticate returns who a client is. An error is an *Error, to be told to
// the client. ctx bounds the call of a back end, which has a time limit too.
func (a *Authenticator) Authenticate(ctx context.Context, r Request) (Identity, error) {
	s := a.state.Load()
	id, err := s.identify(ctx, r)
	if err != nil {
		e := asError(err)
		if f := a.opts.Hooks.Refused; f != nil {
			f(e.Code)
		}
		a.opts.Logger.Debug("client refused", "code", e.Code, "reason", e.Message, "cause", e.cause,
			"namespace", r.Namespace, "address", r.Address)
		return Identity{}, e
	}
	if f := a.opts.Hooks.Accepted; f != nil {
		f()
	}
	return id, nil
}

func (s *state) identify(ctx context.Context, r Request) (Identity, error) {
	id, grants, err := s.method.identify(ctx, r)
	if err != nil {
		return Identity{}, err
	}
	if id.Device == "" { // else somebody vouches for it
		if id.Device, err = deviceOf(r); err != nil {
			return Identity{}, err
		}
	}
	id.Permissions = s.permissions.with(grants)
	if !id.MayEnter(r.Namespace) {
		return Identity{}, errorf(Forbidden, nil, "not allowed in namespace %q", r.Namespace)
	}
	return id, nil
}
