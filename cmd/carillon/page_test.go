package main_test

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPage watches the server and tries it as its page lets people do: in two
// Chromium browsers on two instances, of which one is killed in the end. The
// browser is the one that CHROMIUM names, or chromium. Screenshots go to the
// folder that CARILLON_TEST_ARTIFACTS names, or where go test -artifacts keeps
// them.
func TestPage(t *testing.T) {
	chromium, artifacts := browser(t)
	a, b := startPair(t, testRedis(t))
	runScript(t, asks{"kill b": b.kill, "start b": b.start}, "page.mjs", a.url(), b.url(), chromium, artifacts)
}

// TestPageToken shows tokens to the console: none, bad ones, one of somebody
// who may not see presence, a good one, and one that expires.
func TestPageToken(t *testing.T) {
	chromium, artifacts := browser(t)
	environ := withTokens()
	i := startInstance(t, "belfry", environ...)
	token := func(args ...string) string { return tokenOf(t, environ, args...) }
	runScript(t, nil, "page_token.mjs", i.url(), chromium, artifacts,
		token("anna"), token("--can", "message", "bert"), token("--ttl", "20s", "anna"))
}

// TestAdmin logs in to Socket.IO's own Admin UI, reads its numbers and lists,
// and disconnects a client. The UI's files are those of its npm package, and
// come from another origin than the server.
func TestAdmin(t *testing.T) {
	chromium, artifacts := browser(t)
	files := filepath.Join("..", "..", "testdata", "e2e", "node_modules", "@socket.io", "admin-ui", "ui", "dist")
	_, err := os.Stat(filepath.Join(files, "index.html"))
	need(t, err == nil, "the Admin UI is not installed: run npm ci in testdata/e2e")
	ui := httptest.NewServer(http.FileServer(http.Dir(files)))
	defer ui.Close()

	i := startInstance(t, "belfry",
		"CARILLON_ADMIN__ENABLED=true",
		"CARILLON_ADMIN__USERNAME=sexton",
		"CARILLON_ADMIN__PASSWORD_HASH=$2a$04$Sf0cHF29hAvF428DJba0JuyaJzjtW2ss66VoWGT53VqIvwOEyStDy", // of "bells and whistles"
		"CARILLON_ADMIN__DEVELOPMENT=true",
		"CARILLON_SERVER__CORS__ORIGINS="+ui.URL,
		"CARILLON_SERVER__CORS__CREDENTIALS=true",
	)
	runScript(t, nil, "admin.mjs", ui.URL, i.url(), chromium, artifacts)
}

// browser returns the browser's path, and the folder for screenshots.
func browser(t *testing.T) (chromium, artifacts string) {
	t.Helper()
	chromium, err := exec.LookPath(cmp.Or(os.Getenv("CHROMIUM"), "chromium"))
	need(t, err == nil, "chromium is not installed")
	artifacts = os.Getenv("CARILLON_TEST_ARTIFACTS")
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
	return chromium, artifacts
}
