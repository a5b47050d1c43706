package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"
)

// newLogger logs to w as cfg says: with the format "auto" as text where a
// person reads, and as JSON, one object per line, where a program collects.
// level is set, and may be changed later.
func newLogger(w io.Writer, cfg Log, level *slog.LevelVar) (*slog.Logger, error) {
	var initial slog.Level
	if err := initial.UnmarshalText([]byte(cfg.Level)); err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	level.Set(initial)
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "text" || cfg.Format == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, opts)), nil
	}
	return slog.New(slog.NewJSONHandler(w, opts)), nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
