package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/auth"
	"github.com/carillonhq/carillon/cmd/carillon/internal/front"
	"github.com/carillonhq/carillon/cmd/carillon/internal/limit"
	"github.com/carillonhq/carillon/transport/engineio"
)

// A gate is all that stands between clients and the service: who gets in, and
// how much each may take.
type gate struct {
	hooks       gateHooks
	logger      *slog.Logger
	auth        *auth.Authenticator
	limits      *limit.Limiter
	halfOpen    *front.HalfOpen
	proxies     *front.Proxies
	certificate *front.Certificate // nil: no TLS
	cfg         atomic.Pointer[Config]
}

// gateHooks observe a gate. They are called on the goroutine that does the work
// and must not block. A nil field is skipped.
type gateHooks struct {
	Auth  auth.Hooks
	Limit limit.Hooks

	Expired   func()            // a connection was ended because its identity had expired
	Forbidden func(what string) // "message", "join", "broadcast" or "presence" was not permitted
	Origin    func()            // a web page of another origin was refused
	HalfOpen  func()            // a connection was closed because too many ask nothing
}

// openGate reads the files that cfg names. Its errors name the setting.
func openGate(cfg Config, hooks gateHooks, logger *slog.Logger) (*gate, error) {
	g := &gate{hooks: hooks, logger: logger}
	g.cfg.Store(&cfg)
	var err error
	if g.proxies, err = front.NewProxies(cfg.Server.TrustedProxies, cfg.Server.ProxyHeader); err != nil {
		return nil, fmt.Errorf("server.trusted_proxies: %w", err)
	}
	if cfg.Server.TLS.CertFile != "" {
		if g.certificate, err = front.LoadCertificate(cfg.Server.TLS.CertFile, cfg.Server.TLS.KeyFile, logger); err != nil {
			return nil, fmt.Errorf("server.tls: %w", err)
		}
	}
	if g.auth, err = auth.Open(authConfig(cfg), auth.Options{Logger: logger, Hooks: hooks.Auth}); err != nil {
		return nil, err
	}
	g.limits = limit.New(cfg.Limits.limits(), hooks.Limit)
	g.halfOpen = front.NewHalfOpen(cfg.Limits.HalfOpen, hooks.HalfOpen)
	g.warnIfOpen()
	return g, nil
}

// gateKeys are the settings, and the sections of them, that Reload takes.
func gateKeys() []string {
	return []string{
		"auth", "permissions", "server.origins",
		"limits.connections", "limits.connections_per_address", "limits.connections_per_user",
		"limits.handshakes_per_second", "limits.handshakes_burst",
		"limits.address_handshakes_per_second", "limits.address_handshakes_burst",
		"limits.socket", "limits.user", "limits.half_open",
	}
}

// Reload takes what can change from cfg, and reads keys and the certificate
// anew. With an error nothing has changed, but perhaps the certificate.
func (g *gate) Reload(cfg Config) error {
	if g.certificate != nil {
		if err := g.certificate.Reload(); err != nil {
			return fmt.Errorf("server.tls: %w", err)
		}
	}
	if err := g.auth.Reload(authConfig(cfg)); err != nil {
		return err
	}
	g.cfg.Store(&cfg)
	g.limits.Reload(cfg.Limits.limits())
	g.halfOpen.SetMax(cfg.Limits.HalfOpen)
	g.warnIfOpen()
	return nil
}

// warnIfOpen tells who runs a node that lets everyone in.
func (g *gate) warnIfOpen() {
	if g.cfg.Load().Auth.Mode == auth.None {
		g.logger.Warn("no authentication: anyone can be anyone", "auth.mode", auth.None)
	}
}

// Close ends what runs in the background.
func (g *gate) Close() { g.auth.Close() }

func (g *gate) warning() time.Duration { return g.cfg.Load().Auth.Warning }

// keepsAuth reports whether what clients send as auth may be shown to others.
func (g *gate) keepsAuth() bool { return g.cfg.Load().Auth.Mode == auth.None }

// guard has the sessions below ask the gate.
func (g *gate) guard(opts *engineio.Options) {
	opts.Allow = g.allow
	opts.Admit = g.admit
}

// allow refuses web pages of other origins.
func (g *gate) allow(r *http.Request) error {
	if front.AllowsOrigin(g.cfg.Load().Server.Origins, r) {
		return nil
	}
	if f := g.hooks.Origin; f != nil {
		f()
	}
	g.logger.Debug("handshake refused", "reason", "origin", "origin", r.Header.Get("Origin"), "address", r.RemoteAddr)
	return &engineio.Refusal{Message: "Origin not allowed"}
}

// admit counts a connection. A full node is 503, so that a balancer tries
// another one; what concerns the client alone is 429.
func (g *gate) admit(r *http.Request) (release func(), err error) {
	release, err = g.limits.Admit(addrOf(r.RemoteAddr))
	refused, ok := asLimit(err)
	if !ok {
		return release, err
	}
	g.logger.Debug("handshake refused", "reason", string(refused.Kind), "address", r.RemoteAddr)
	status := http.StatusTooManyRequests
	if refused.Kind == limit.Connections || refused.Kind == limit.Handshakes {
		status = http.StatusServiceUnavailable
	}
	return nil, &engineio.Refusal{Status: status, Message: refused.Message, RetryAfter: refused.After}
}

func asLimit(err error) (*limit.Refused, bool) { return errors.AsType[*limit.Refused](err) }
func asAuth(err error) (*auth.Error, bool)     { return errors.AsType[*auth.Error](err) }

// server returns an HTTP server for h that the gate watches.
func (g *gate) server(h http.Handler) *http.Server {
	cfg := g.cfg.Load()
	s := &http.Server{
		Handler:           g.proxies.Wrap(h),
		ReadHeaderTimeout: cfg.Limits.HeaderTimeout,
		ReadTimeout:       cfg.Limits.RequestTimeout, // polls, which are long, are exempt
		IdleTimeout:       cfg.Limits.RequestTimeout,
		MaxHeaderBytes:    int(cfg.Limits.Headers),
		ErrorLog:          slog.NewLogLogger(g.logger.Handler(), slog.LevelDebug),
	}
	if g.certificate != nil {
		s.TLSConfig = g.certificate.Config()
	}
	g.halfOpen.Watch(s)
	return s
}

// serve is Serve of a server of the gate, with TLS if there is a certificate.
func (g *gate) serve(s *http.Server, l net.Listener) error {
	if g.certificate != nil {
		return s.ServeTLS(l, "", "")
	}
	cfg := g.cfg.Load()
	upgrades := &front.Upgrades{
		Path: cfg.Server.Path, Handler: s.Handler, Timeout: cfg.Limits.HeaderTimeout, HalfOpen: g.halfOpen, Logger: g.logger,
	}
	rest, wait := upgrades.Listen(l)
	defer wait()
	return s.Serve(rest)
}
