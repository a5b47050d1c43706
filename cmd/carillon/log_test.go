package main

import (
	"log/slog"
	"strings"
	"testing"
)

func TestLogger(t *testing.T) {
	for _, c := range []struct {
		cfg  Log
		want string // the beginning of what is written
	}{
		{Log{"info", "auto"}, `{"time":`}, // not a terminal
		{Log{"info", "json"}, `{"time":`},
		{Log{"info", "text"}, "time="},
		{Log{"debug", "text"}, "time="},
		{Log{"warn", "text"}, ""},
	} {
		var b strings.Builder
		logger, err := newLogger(&b, c.cfg, new(slog.LevelVar))
		if err != nil {
			t.Fatal(err)
		}
		logger.Info("hello", "n", 1)
		if got := b.String(); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%v: got %q, want %q", c.cfg, got, c.want)
		}
	}
}
