package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/carillonhq/carillon/cmd/carillon/internal/api"
	"github.com/carillonhq/carillon/cmd/carillon/internal/health"
)

// doors are the addresses that a node listens on.
type doors struct {
	logger  *slog.Logger
	servers []*http.Server
	failed  chan error // why the first of them that failed did
	wg      sync.WaitGroup
}

func newDoors(logger *slog.Logger) *doors {
	return &doors{logger: logger, failed: make(chan error, 1)}
}

// listen opens one more address.
func (d *doors) listen(ctx context.Context, what, addr string, h http.Handler) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen on %s for %s: %w", addr, what, err)
	}
	d.logger.Info("listening", "for", what, "addr", l.Addr().String())
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second, // polls are long: nothing else is bounded here
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(d.logger.Handler(), slog.LevelDebug),
	}
	d.run(server, func() error { return server.Serve(l) })
	return nil
}

// run has a server serve until shutdown or close.
func (d *doors) run(server *http.Server, serve func() error) {
	d.servers = append(d.servers, server)
	d.wg.Go(func() {
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			select {
			case d.failed <- err:
			default: // another one failed first
			}
		}
	})
}

// shutdown ends all in good order.
func (d *doors) shutdown(ctx context.Context) error {
	var errs []error
	for _, s := range d.servers {
		errs = append(errs, s.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

// close ends what is left of them.
func (d *doors) close() error {
	var errs []error
	for _, s := range d.servers {
		errs = append(errs, s.Close())
	}
	d.wg.Wait()
	return errors.Join(errs...)
}

// clients is what stands at server.listen: Socket.IO, health, the page, and what
// has no address of its own.
func clients(cfg Server, gate *gate, io http.Handler, ready health.Checks, metrics, back http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(cfg.Path, io)
	addHealth(mux, ready)
	if metrics != nil {
		mux.Handle("/metrics", metrics)
	}
	if cfg.Page && cfg.Path != "/" {
		mux.Handle("/", pageHandler(gate))
	}
	return withAPI(mux, back)
}

func addHealth(mux *http.ServeMux, ready health.Checks) {
	mux.HandleFunc("/healthz", health.Live)
	mux.Handle("/readyz", ready)
}

// withAPI hands back what is the API's, unless it is nil. A mux would redirect
// users' names such as "..".
func withAPI(rest, back http.Handler) http.Handler {
	if back == nil {
		return rest
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, api.Prefix) {
			back.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}
