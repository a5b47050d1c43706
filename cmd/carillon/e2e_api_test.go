package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const apiKey = "a-key-for-tests-0123456789"

// startPairWithAPI is startPair with the HTTP API and metrics on both.
func startPairWithAPI(t *testing.T, environ ...string) (a, b *instance) {
	t.Helper()
	return startPairOver(t, "redis", append(environ, "REDIS_URL="+testRedis(t), "CARILLON_API__KEYS="+apiKey)...)
}

// TestSchemathesis has a program that reads openapi.yaml try an instance of two
// against it: whatever it sends, no answer has status 5xx, and each is as the
// file says.
func TestSchemathesis(t *testing.T) {
	dir, err := filepath.Abs("../../testdata/schemathesis")
	if err != nil {
		t.Fatal(err)
	}
	python, err := exec.LookPath("python3")
	need(t, err == nil, "python3 is not installed")
	_, err = os.Stat(filepath.Join(dir, "python", "schemathesis"))
	need(t, err == nil, "schemathesis is not installed: see testdata/schemathesis/requirements.txt")
	a, _ := startPairWithAPI(t)

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	// The seed makes a failure come again.
	cmd := exec.CommandContext(ctx, python, "-m", "schemathesis.cli", "run", a.url()+"/api/v1/openapi.yaml",
		"--url", a.url()+"/api/v1", "--header", "Authorization: Bearer "+apiKey,
		"--checks", "all", "--max-examples", "20", "--seed", "20261125", "--no-color")
	cmd.Dir = t.TempDir() // it leaves caches behind
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(dir, "python")+string(os.PathListSeparator)+dir, "SCHEMATHESIS_HOOKS=hooks")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
