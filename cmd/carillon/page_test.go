package main_test

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPage tries the server as its page lets people try it: in two Chromium
// browsers on two instances. The browser is the one that CHROMIUM names, or
// chromium. Screenshots go to the folder that CARILLON_TEST_ARTIFACTS names,
// or where go test -artifacts keeps them.
func TestPage(t *testing.T) {
	chromium, err := exec.LookPath(cmp.Or(os.Getenv("CHROMIUM"), "chromium"))
	need(t, err == nil, "chromium is not installed")
	artifacts := os.Getenv("CARILLON_TEST_ARTIFACTS")
	if artifacts == "" {
		artifacts = t.ArtifactDir()
	}
	if artifacts, err = filepath.Abs(artifacts); err != nil { // the script runs elsewhere
		t.Fatal(err)
	}
	if err := os.MkdirAll(artifacts, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Logf("screenshots in %s", artifacts)

	a, b := startPair(t, testRedis(t))
	runScript(t, nil, "page.mjs", a.url(), b.url(), chromium, artifacts)
}
