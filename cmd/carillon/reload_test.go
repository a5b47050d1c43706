package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What can change is taken over, what is refused stays, and the rest is named.
func TestReload(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	cfg, next := defaultConfig(), defaultConfig()
	var refused error
	r := newReloader(cfg, func() (Config, error) { return next, refused }, logger)
	level := new(slog.LevelVar)
	r.takes(logLevel(level), "log.level")
	var got []int
	var veto error
	r.takes(func(c Config) error {
		got = append(got, c.Broker.Reconnect.Retries)
		return veto
	}, "broker.reconnect")

	said := func(want string) {
		t.Helper()
		r.reload()
		if !strings.Contains(log.String(), want) {
			t.Errorf("got %q, want %q in it", log.String(), want)
		}
		log.Reset()
	}
	said("changed=[]")
	next.Log.Level = "debug"
	said("changed=[log.level]")
	if level.Level() != slog.LevelDebug || len(got) > 0 {
		t.Errorf("got the level %v and %v, want debug and nothing else", level.Level(), got)
	}
	next.Broker.Reconnect.Retries, veto = 3, errors.New("not that many")
	said(`keys=[broker.reconnect.retries] err="not that many"`)
	veto = nil
	said("changed=[broker.reconnect.retries]")
	said("changed=[]")
	if len(got) != 2 || got[1] != 3 {
		t.Errorf("got %v, want the change twice", got)
	}
	next.Server.Listen, next.Log.Level = ":1", "warn"
	said("need a restart\" keys=[server.listen]")
	if level.Level() != slog.LevelWarn {
		t.Errorf("got the level %v, want what can change to have changed", level.Level())
	}
	said("keys=[server.listen]") // it still needs one

	next.Log.Level, refused = "error", errors.New("line 1: no")
	said("all stays as it was")
	if level.Level() != slog.LevelWarn {
		t.Errorf("got the level %v from a configuration that was refused", level.Level())
	}
}

// A server reads its file again with SIGHUP, and goes on.
func TestHangup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.yaml")
	set := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set("log: {level: info}")
	p := start(t, "carillon", "serve", "--config", file, "--listen", "127.0.0.1:0")
	await := func(want string) {
		t.Helper()
		for {
			if line := p.line(t); strings.Contains(line, want) {
				return
			}
		}
	}
	await(`"msg":"serving"`)
	set("log: {level: debug}\nserver: {page: false}")
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(`"keys":["server.page"]`)
	await(`"changed":["log.level"]`)
	set("log: {level: loud}")
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await("log.level: expected one of")
	if err := p.end(t, os.Interrupt); err != nil {
		t.Errorf("got %v, want exit code 0", err)
	}
}
