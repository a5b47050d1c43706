package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// asks is what a test does when its script asks for it.
type asks map[string]func(*testing.T)

// runScript runs a script of testdata/e2e in Node and reports each of its
// checks as a subtest.
func runScript(t *testing.T, can asks, script string, args ...string) {
	t.Helper()
	dir := filepath.Join("..", "..", "testdata", "e2e")
	node, err := exec.LookPath("node")
	need(t, err == nil, "node is not installed")
	_, err = os.Stat(filepath.Join(dir, "node_modules"))
	need(t, err == nil, "the JavaScript client is not installed: run npm ci in testdata/e2e")

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, append([]string{script}, args...)...)
	cmd.Dir = dir
	// A script that hangs is asked to end, so that it ends its browsers.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
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
	ended := false
	defer func() { // also when an answer to the script failed the test
		if !ended {
			cancel()
			_ = cmd.Wait()
		}
		if t.Failed() && stderr.Len() > 0 {
			t.Logf("%s wrote:\n%s", script, &stderr)
		}
	}()

	done := false
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var line struct {
			Check, Error, Ask, Result string
			MS                        int
			Done                      bool
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%s said %q: %v", script, lines.Bytes(), err)
		}
		switch {
		case line.Check != "":
			t.Run(line.Check, func(t *testing.T) {
				t.Logf("took %d ms", line.MS)
				if line.Error != "" {
					t.Error(line.Error)
				}
			})
		case line.Ask != "":
			do, ok := can[line.Ask]
			if !ok {
				t.Fatalf("%s asks for %q", script, line.Ask)
			}
			do(t)
			fmt.Fprintln(stdin, "ok")
		case line.Result != "":
			t.Logf("RESULT %s", line.Result)
		case line.Done:
			done = true
		}
	}
	err, ended = cmd.Wait(), true
	if err != nil || !done {
		t.Errorf("%s did not come to its end: %v", script, err)
	}
}
