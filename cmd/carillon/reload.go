package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// A reloader reads the configuration again, and has what can change while the
// server runs take it over. Whoever can, says so with takes before the first
// reload; of all else that changed the log says that it needs a restart.
type reloader struct {
	read   func() (Config, error) // from the places that were read at the start
	logger *slog.Logger

	mu    sync.Mutex     // guards what follows; held during a reload
	force map[string]any // the values in force, by key
	parts []reloadable
}

// A reloadable is a part of the configuration that can change.
type reloadable struct {
	keys  []string // or sections
	apply func(Config) error
}

func newReloader(cfg Config, read func() (Config, error), logger *slog.Logger) *reloader {
	return &reloader{read: read, logger: logger, force: valuesOf(cfg)}
}

// valuesOf is every value by its key.
func valuesOf(cfg Config) map[string]any {
	values := map[string]any{}
	for _, f := range fieldsOf(cfg) {
		values[f.key] = f.initial
	}
	return values
}

// takes has apply called with the new configuration, one call at a time, when
// one of the keys, or one in a section of that name, has changed. What it
// refuses stays as it was, and is offered again with the next reload.
func (r *reloader) takes(apply func(Config) error, keys ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parts = append(r.parts, reloadable{keys, apply})
}

// reload does it once. A configuration that is refused changes nothing.
func (r *reloader) reload() {
	r.mu.Lock()
	defer r.mu.Unlock()
	cfg, err := r.read()
	if err != nil {
		r.logger.Error("the configuration was read again and refused, all stays as it was", "err", err)
		return
	}
	now := valuesOf(cfg)
	var changed []string
	for _, f := range newSchema().fields { // in their order
		if !reflect.DeepEqual(now[f.key], r.force[f.key]) {
			changed = append(changed, f.key)
		}
	}
	var done []string
	for _, part := range r.parts {
		concerned := slices.DeleteFunc(slices.Clone(changed), func(key string) bool { return !part.has(key) })
		if len(concerned) == 0 {
			continue
		}
		changed = slices.DeleteFunc(changed, part.has)
		if err := part.apply(cfg); err != nil {
			r.logger.Error("a change was refused, what it concerns stays as it was", "keys", concerned, "err", err)
			continue
		}
		for _, key := range concerned {
			r.force[key] = now[key]
		}
		done = append(done, concerned...)
	}
	if len(changed) > 0 {
		r.logger.Warn("the configuration has changes that need a restart", "keys", changed)
	}
	r.logger.Info("the configuration was read again", "changed", done)
}

func (p reloadable) has(key string) bool {
	return slices.ContainsFunc(p.keys, func(k string) bool { return key == k || strings.HasPrefix(key, k+".") })
}

// onSignal reloads with every SIGHUP, until ctx ends.
func (r *reloader) onSignal(ctx context.Context) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	wg.Go(func() { // ends with ctx
		for {
			select {
			case <-signals:
				r.reload()
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		signal.Stop(signals)
		cancel()
		wg.Wait()
	}
}

// logLevel has level follow log.level.
func logLevel(level *slog.LevelVar) func(Config) error {
	return func(cfg Config) error {
		var l slog.Level
		if err := l.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
			return fmt.Errorf("log: %w", err)
		}
		level.Set(l)
		return nil
	}
}
