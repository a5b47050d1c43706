package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// A process is a command in the background, and the lines it reports.
type process struct {
	*exec.Cmd
	lines *bufio.Reader
}

func start(t *testing.T, name string, args ...string) process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...) // killed with the test
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CARILLON_") && !strings.HasPrefix(v, "REDIS_") &&
			!strings.HasPrefix(v, "RABBITMQ_") && !strings.HasPrefix(v, "KAFKA_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	r, w := io.Pipe()
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return process{cmd, bufio.NewReader(r)}
}

func (p process) line(t *testing.T) string {
	t.Helper()
	line, err := p.lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

// end signals the process and waits for it, reading all that it reports.
func (p process) end(t *testing.T, sig os.Signal) error {
	t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, p.lines) }() // ends with the process
	return p.Wait()
}

// A server logs JSON where no terminal is, and ends well when it is asked to.
func TestServe(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		p := start(t, "carillon", "serve", "--config", "../../configs/memory.yaml", "--listen", "127.0.0.1:0", "--node", "bell")
		line := p.line(t)
		var entry struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Msg == "" {
			t.Errorf("got %s, %v; want a log entry in JSON", line, err)
		}
		if err := p.end(t, sig); err != nil {
			t.Errorf("%v: got %v, want exit code 0", sig, err)
		}
	}
}

// The second signal makes a process hurry, and the third ends one that the first
// two did not.
func TestMoreSignals(t *testing.T) {
	p := start(t, "stuck")
	if got := p.line(t); got != "started" {
		t.Fatalf("got %q", got)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := p.line(t); got != "stopping" {
		t.Fatalf("got %q", got)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := p.line(t); got != "hurrying" {
		t.Fatalf("got %q", got)
	}
	exit, ok := errors.AsType[*exec.ExitError](p.end(t, os.Interrupt))
	if !ok || exit.Success() {
		t.Errorf("got %v, want it ended by the signal", exit)
	}
}
