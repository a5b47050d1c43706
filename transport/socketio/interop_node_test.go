package socketio_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillonhq/carillon/adapter"
	"github.com/carillonhq/carillon/broker"
	"github.com/carillonhq/carillon/broker/memory"
	"github.com/carillonhq/carillon/transport/peers"
	"github.com/carillonhq/carillon/transport/socketio"
)

// The interop tests hold this package against Node's server and the published
// clients, which are set up by
//
//	(cd testdata/interop && npm ci)
//	(cd testdata/interop && pip install --target python -r requirements.txt)
//
// They skip where these are missing, and fail under CARILLON_TEST_STRICT=1.

func interopDir(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("../../testdata/interop")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// interopNeeds skips the test where a program or a file of testdata/interop
// is not there.
func interopNeeds(t testing.TB, program, file string) {
	t.Helper()
	_, err := exec.LookPath(program)
	if err == nil {
		_, err = os.Stat(filepath.Join(interopDir(t), file))
	}
	switch {
	case err == nil:
	case os.Getenv("CARILLON_TEST_STRICT") == "1":
		t.Fatalf("interop is not set up: %v", err)
	default:
		t.Skipf("interop is not set up: %v", err)
	}
}

// interopNode serves the application on Node's server, with its options as
// JSON, until the end of the test.
func interopNode(t testing.TB, options string) (url string) {
	t.Helper()
	cmd := exec.Command("node", "server.mjs", options)
	cmd.Dir, cmd.Stderr = interopDir(t), os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close() // ends it
		if err := cmd.Wait(); err != nil {
			t.Errorf("node server: %v", err)
		}
	})
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("node server: %v", err)
	}
	return "http://127.0.0.1:" + strings.TrimSpace(port)
}

// interopOurs serves the application on ours until the end of the test.
func interopOurs(t testing.TB, opts socketio.Options, lanes int) (url string) {
	t.Helper()
	opts.Logger = slog.New(slog.DiscardHandler)
	io := socketio.New(opts)
	interopApp(t, io, lanes)
	web := httptest.NewServer(io)
	t.Cleanup(func() {
		io.Close()
		web.Close()
	})
	return web.URL
}

// interopNodes serves the application on three nodes, the next of which gets
// each request.
func interopNodes(t *testing.T, opts socketio.Options) (url string) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	hub := memory.NewHub()
	var nodes []*socketio.Server
	for i := range 3 {
		bus, err := broker.Open(t.Context(), func(context.Context) (broker.Driver, error) { return hub.Driver(), nil },
			broker.Options{Node: fmt.Sprint("n", i), Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { bus.Close() })
		opts.Logger, opts.Adapter = quiet, adapter.NewCluster(bus, adapter.Options{Logger: quiet}).Namespace
		opts.Engine.Peers, opts.Engine.UpgradeHold = peers.Over(bus), 500*time.Millisecond
		io := socketio.New(opts)
		t.Cleanup(func() { io.Close() })
		interopApp(t, io, 1)
		nodes = append(nodes, io)
		eventually(t, "the nodes know each other", func() bool { return len(bus.Members()) == i })
	}
	var turn atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nodes[int(turn.Add(1))%len(nodes)].ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		for _, io := range nodes {
			io.Close()
		}
		web.Close()
	})
	return web.URL
}

// interopRun runs a program of testdata/interop with an argument as JSON, and
// calls each with every line of its output.
func interopRun(t testing.TB, program, script string, arg any, each func(line []byte)) {
	t.Helper()
	text, err := json.Marshal(arg)
	if err != nil {
		t.Error(err)
		return
	}
	var complaints bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, script, string(text))
	cmd.Dir, cmd.Stderr = interopDir(t), &complaints
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(cmd.Dir, "python"), "PYTHONDONTWRITEBYTECODE=1")
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Error(err)
		return
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		each(lines.Bytes())
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil {
		t.Errorf("%s %s: %v\n%s", program, script, err, &complaints)
	}
}
